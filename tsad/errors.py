"""Errors that a user can mend: each states the rule, then the values, then the way out. And the end of work on request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TsadError(Exception):
    """Anything that is wrong with what the user gave; the command line prints it in one line and exits with 1."""


class SpecError(TsadError):
    """An experiment, a search space or an override that does not describe anything we can build."""


class UsageError(SpecError):
    """Options contradict each other, or an option does not belong there."""


class DataError(TsadError):
    """A file, a table or an array that cannot be read as the series it should be."""


class DetectorError(TsadError):
    """A saved detector that is damaged, foreign, or asked for something it cannot do."""


class TrainingError(TsadError):
    """A training that cannot go on."""


class StoreError(TsadError):
    """A tracking store that failed while a command used it; what the command did so far is kept, and can be resumed."""


class StoppedError(Exception):
    """Work that was asked to stop, because nobody waits for its result any more."""


_is_stopped: ContextVar[Callable[[], bool] | None] = ContextVar("is_stopped", default=None)


@contextmanager
def stoppable(is_stopped: Callable[[], bool]) -> Iterator[None]:
    """Lets work in this context, and in copies of it, end at the next `stop_if_asked` once `is_stopped` returns true."""
    token = _is_stopped.set(is_stopped)
    try:
        yield
    finally:
        _is_stopped.reset(token)


def stop_if_asked() -> None:
    """Raises `StoppedError` if this work was asked to stop; called by loops that may take long."""
    is_stopped = _is_stopped.get()
    if is_stopped is not None and is_stopped():
        raise StoppedError("nobody waits for this any more")


def shown(cell: object, length: int = 80) -> str:
    """Returns a value as it stands in an error: plain (`nan`, not `np.float64(nan)`), and cut if it is long."""
    plain = getattr(cell, "tolist", None)
    text = repr(plain() if callable(plain) else cell)
    return text if len(text) <= length else text[: length - 3] + "..."
