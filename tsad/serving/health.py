"""`/health`: whether the service can do its work, and what is in its way."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tsad.serving.access_log import AccessLog
from tsad.serving.tokens import Tokens

_log = logging.getLogger(__name__)

_SECONDS = 2.0
"""For which an answer is given again: nobody makes the disk busy by asking."""


@dataclass(frozen=True)
class Problems:
    """Problems of the service in a sentence each, without paths.

    Attributes:
        severe: Problems because of which requests fail.
        other: Problems of what is beside them.
    """

    severe: Sequence[str] = ()
    other: Sequence[str] = ()


class Health:
    """Looks for problems when somebody asks.

    Args:
        state: Folder that must be writable.
        tokens: Tokens whose file must not be damaged.
        registry_failure: Returns why the tracking server could not be asked last, None if it could.
        log: Log whose lines must arrive.
        unreadable_streams: Returns the number of streams that could not go on.
        live_problems: Returns what is in the way of the next version.
    """

    def __init__(
        self,
        state: Path,
        tokens: Tokens,
        registry_failure: Callable[[], str | None],
        log: AccessLog,
        unreadable_streams: Callable[[], int],
        live_problems: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._state, self._tokens, self._log = state, tokens, log
        self._registry_failure = registry_failure
        self._unreadable_streams, self._live_problems = unreadable_streams, live_problems
        self._problems, self._until = Problems(), 0.0

    def problems(self) -> Problems:
        """Returns the problems of now, or of at most two seconds ago."""
        if time.monotonic() >= self._until:
            self._problems, self._until = self._look(), time.monotonic() + _SECONDS
        return self._problems

    def _look(self) -> Problems:
        severe, other = [], []
        try:
            probe = self._state / f".health-{uuid4().hex}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            severe.append(f"the state folder cannot be written ({error.strerror})")
        if self._tokens.damage is not None:
            severe.append("the file of tokens is damaged")
        if (failure := self._registry_failure()) is not None:
            other.append(failure)
        other += self._live_problems()
        if self._log.failure is not None:
            other.append("the log of requests cannot be written")
        if streams := self._unreadable_streams():
            other.append(f"{streams} streams have a damaged state; delete them")
        for problem in severe + other:
            if problem not in (*self._problems.severe, *self._problems.other):
                _log.warning("%s", problem)
        return Problems(tuple(severe), tuple(other))
