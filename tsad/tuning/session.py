"""The session of a search: what to try next, what has ended, and how it goes on after a kill."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial
from tsad.tuning.algorithms.contract import SearchAlgorithm, SpaceExhaustedError
from tsad.tuning.journal import EndedEvent, Journal, ProposedEvent


class TrialListener(Protocol):
    """One who is told of trials, on the driver, in the order of events."""

    def on_started(self, candidate: Candidate) -> None:
        """A trial begins; once more for one that was running when its search was killed."""

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """An epoch has ended."""

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """A trial has ended; `folder` holds the files of its last evaluation, None if it had none."""


class TrialCache(Protocol):
    """Finished trials of earlier searches, which count as trials of this search and are not trained again."""

    def find(self, candidate: Candidate) -> tuple[Trial, Path | None] | None:
        """Returns the finished trial of an equal experiment with the folder of its files, None if there is none."""


class NoTrialCache:
    """A trial cache that is always empty, for searches that train every candidate."""

    def find(self, candidate: Candidate) -> None:
        """Returns None."""


class SearchSession:
    """Stands between a search algorithm and those who run its candidates.

    Every proposal and every end is in the journal before it has any effect. To go on after a kill, the journal is replayed
    into a fresh search algorithm, which proposes the same candidates again; those that had not ended come first.

    Attributes:
        ended: Every trial, in the order of ending, with the folder of its files.
    """

    def __init__(
        self, algorithm: SearchAlgorithm, trials: int, journal: Journal, listener: TrialListener, cache: TrialCache
    ) -> None:
        self._algorithm = algorithm
        self._trials = trials
        self._journal = journal
        self._listener = listener
        self._cache = cache
        self._proposed = 0
        self._again: deque[Candidate] = deque()
        self.ended: list[tuple[Trial, Path | None]] = []
        self._replay()

    @property
    def elapsed(self) -> float:
        """Seconds of searching before the last trial ended, over all sessions."""
        return max((trial.elapsed for trial, _ in self.ended), default=0.0)

    def propose(self) -> Candidate | None:
        """Returns what to try next, None if the algorithm waits.

        A candidate that an earlier search has tried is not returned: its trial counts as one of this search.

        Raises:
            SpaceExhaustedError: if all trials are out, or the search algorithm has nothing new.
        """
        while (candidate := self._next()) is not None:
            known = self._cache.find(candidate)
            if known is None:
                break
            trial, folder = known
            self.on_started(candidate)
            self.on_result(replace(trial, elapsed=self.elapsed), folder)
        return candidate

    def _next(self) -> Candidate | None:
        """Returns a candidate that was running when the search was killed, else a new one, None if the algorithm waits."""
        if self._again:
            return self._again.popleft()
        if self._proposed >= self._trials:  # more, if a resumed search is to be shorter
            raise SpaceExhaustedError
        candidate = self._algorithm.suggest()
        if candidate is not None:
            self._journal.write(ProposedEvent(candidate))
            self._proposed += 1
        return candidate

    def on_started(self, candidate: Candidate) -> None:
        """Passes on that a trial begins."""
        self._listener.on_started(candidate)

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Passes on that an epoch has ended."""
        self._listener.on_epoch(candidate, epoch, losses)

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Keeps a trial that has ended; tells the search algorithm and the listener."""
        self._journal.write(EndedEvent(trial, folder))
        self._keep(trial, folder)
        self._listener.on_result(trial, folder)

    def _keep(self, trial: Trial, folder: Path | None) -> None:
        self.ended.append((trial, folder))
        self._algorithm.update(trial)

    def _replay(self) -> None:
        """Makes the calls of the journal again; the listener hears nothing of them."""
        running: dict[int, Candidate] = {}
        for event in self._journal.read():
            if isinstance(event, EndedEvent):
                running.pop(event.trial.candidate.number)
                self._keep(event.trial, event.files)
            else:
                if self._algorithm.suggest() != event.candidate:
                    raise TsadError(
                        f"{self._journal.path}: the search algorithm must propose the candidates of the journal again, but did "
                        f"not propose {event.candidate.name}; search without --resume"
                    )
                self._proposed += 1
                running[event.candidate.number] = event.candidate
        self._again.extend(running.values())
