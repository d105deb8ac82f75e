"""The versions of a registered model as they were last seen, for when the tracking server is away."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLongError

from tsad.registry.register import Version

_log = logging.getLogger(__name__)

PATIENCE = 0.7
"""Seconds that a request waits for the tracking server before it gets what was last seen."""


class VersionCache:
    """Asks the registry, one question at a time, and answers within a second from what it said last.

    Args:
        ask: Asks the registry; it may take minutes if the server is away.
        first: What it said when the model was loaded.
    """

    def __init__(self, ask: Callable[[], Sequence[Version]], first: Sequence[Version]) -> None:
        self._ask = ask
        self._last = first
        self._seen = time.monotonic()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "registry")
        self._question: Future[None] | None = None
        self.failure: str | None = None

    def read(self) -> tuple[Sequence[Version], int]:
        """Returns the versions, newest first, and their age in whole seconds: 0 if the registry has just said so."""
        with self._lock:
            if self._question is None or self._question.done():
                self._question = self._thread.submit(self._refresh)
            question = self._question
        try:
            question.result(PATIENCE)
        except WaitedTooLongError:
            self.failure = self.failure or f"the tracking server has not answered within {PATIENCE:g} s"
        return self._last, 0 if self.failure is None else max(1, round(time.monotonic() - self._seen))

    def close(self) -> None:
        """Asks nothing any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _refresh(self) -> None:
        try:
            versions = self._ask()
        except Exception as error:  # whatever MLflow raises for a server that is away
            if self.failure is None:
                _log.warning("the tracking server cannot be asked for versions: %s", str(error)[:300])
            self.failure = f"the tracking server cannot be asked ({type(error).__name__})"
            return
        self._last, self._seen, self.failure = versions, time.monotonic(), None
