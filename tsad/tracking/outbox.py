"""Writes of a search to its tracking store by a thread of their own, which wait while the store is away."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tsad.selection.trial import Candidate, EndedTrials, Trial
from tsad.settings import without_password
from tsad.tracking.failures import first_cause, is_outage, is_store_failure, store_error
from tsad.tracking.search_files import JournalCopy
from tsad.tracking.search_runs import TrialRecorder

_PAUSE = 3.0
"""Seconds between two attempts to reach a store that is away."""
_LAST_WRITES = 30.0
"""Seconds that an interrupted search gives to writes that wait."""

_logger = logging.getLogger(__name__)


class Outbox:
    """Writes what happens to the trials of a search, in order, while the search continues.

    While the store is away, events wait: proposals and results in the journal on the disk, all of them in memory. What the
    store lacks after a kill is written when the search is resumed.

    Args:
        recorder: Recorder of the trials.
        copy: Copy of the journal among the artifacts of the search.
        uri: URI of the store, for messages.
        outage: Longest time in seconds that the store may be away.
    """

    def __init__(self, recorder: TrialRecorder, copy: JournalCopy, uri: str, outage: float) -> None:
        self._recorder = recorder
        self._copy = copy
        self._uri = uri
        self._outage = outage
        self._events: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._is_ending = False
        self._failure: BaseException | None = None
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="outbox")
        self._thread.start()

    def catch_up(self, ended: EndedTrials) -> None:
        """Writes what the store lacks of trials that ended before their search was interrupted."""
        self._put(lambda: self._recorder.catch_up(ended))

    def on_started(self, candidate: Candidate) -> None:
        """Writes that a trial starts."""
        self._put(lambda: self._recorder.on_started(candidate))

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Writes the losses of an epoch."""

        def write() -> None:
            self._recorder.on_epoch(candidate, epoch, losses)
            self._copy.refresh()

        self._put(write)

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Writes how a trial ended; its journal has it already."""
        size = self._copy.size()

        def write() -> None:
            self._recorder.on_result(trial, folder)
            self._copy.extend(size)

        self._put(write)

    def news(self) -> list[str]:
        """Returns sentences about the store that nobody was told yet: that it is away, or is back."""
        sentences = []
        while not self._news.empty():
            sentences.append(self._news.get())
        return sentences

    def finish(self, tell_news: Callable[[], None]) -> None:
        """Waits until everything is written.

        Args:
            tell_news: Is called again and again meanwhile.

        Raises:
            StoreError: if the store was away for too long, or refused a request.
        """
        self._put(self._copy.flush)
        while self._events.unfinished_tasks:
            time.sleep(0.01)
            tell_news()
            self._raise_failure()
        tell_news()
        self._raise_failure()
        self._stop()
        self._recorder.close()

    def abandon(self) -> None:
        """Writes what waits if the store answers, and ends the runs of open trials as KILLED; raises nothing of the store."""
        self._is_ending = True
        self._stop()
        if self._thread.is_alive():
            return  # it hangs in a request
        try:
            self._recorder.close()
            self._copy.flush()
        except Exception as error:
            if not is_store_failure(error):
                raise
            _logger.debug("runs of trials were not ended", exc_info=True)

    def _put(self, write: Callable[[], None]) -> None:
        self._raise_failure()
        self._events.put(write)

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        if is_store_failure(self._failure):
            raise store_error(self._uri, self._failure) from self._failure
        raise self._failure

    def _stop(self) -> None:
        self._events.put(None)
        self._thread.join(_LAST_WRITES)

    def _work(self) -> None:
        while (write := self._events.get()) is not None:
            if self._failure is None:
                self._write(write)
            self._events.task_done()

    def _write(self, write: Callable[[], None]) -> None:
        """Makes a write, again and again while the store is away."""
        away_since: float | None = None
        while True:
            try:
                if away_since is not None:
                    self._recorder.recover()
                write()
            except BaseException as error:
                now = time.monotonic()
                if not is_outage(error) or self._is_ending or now - (away_since or now) >= self._outage:
                    self._failure = error
                    return
                if away_since is None:
                    away_since = now
                    self._tell(
                        f"is away ({first_cause(error)}); the search continues, and what happens waits in its journal"
                    )
                time.sleep(min(_PAUSE, self._outage))
            else:
                break
        if away_since is not None:
            self._tell(f"is back after {time.monotonic() - away_since:.0f} s; what waited is written")

    def _tell(self, text: str) -> None:
        self._news.put(f"tracking store {without_password(self._uri)} {text}")
