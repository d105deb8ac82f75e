"""The session of a search: what is tried next, what has ended, and how the search resumes after an interruption."""

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
    """Observer of the trials of a search, such as a recorder or a progress bar; called on the driver, in the order of events."""

    def on_started(self, candidate: Candidate) -> None:
        """Learns that a trial starts; once more for a trial that was running when its search was interrupted."""

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Learns the losses of an epoch, from epoch 1 on."""

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Learns how a trial ended; `folder` holds the files of its last evaluation, None if it was never evaluated."""


class TrialCache(Protocol):
    """Finished trials of earlier searches, which count as trials of this search and are not trained again."""

    def find(self, candidate: Candidate) -> tuple[Trial, Path | None] | None:
        """Returns the finished trial of an equal experiment with the folder of its files, None if there is none."""


class NoTrialCache:
    """A trial cache that is always empty, for searches that train every candidate."""

    def find(self, candidate: Candidate) -> None:
        """Returns None."""


class SearchSession:
    """Connects a search algorithm with whatever runs its candidates.

    Every proposal and every result is in the journal before it has any effect. An interrupted search is resumed by replaying
    its journal into a new search algorithm, which proposes the same candidates again; those without a result come first.

    Args:
        algorithm: Search algorithm that has proposed nothing yet.
        trials: Largest number of candidates, those of the journal included.
        journal: Journal of the search; what it holds is replayed at once.
        listener: Listener that follows the trials; it learns nothing of replayed events.
        cache: Trial cache that is asked before a candidate is run.

    Attributes:
        ended: Every trial that has ended, in the order of results, with the folder of its files.

    Raises:
        TsadError: if the algorithm does not propose the candidates of the journal again.
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
        self._interrupted: deque[Candidate] = deque()
        self.ended: list[tuple[Trial, Path | None]] = []
        self._replay()

    @property
    def elapsed(self) -> float:
        """Seconds of searching until the last trial ended, summed over all sessions of the search."""
        return max((trial.elapsed for trial, _ in self.ended), default=0.0)

    @property
    def is_complete(self) -> bool:
        """Whether all trials have ended, so that nothing is left to run."""
        return self._proposed >= self._trials and len(self.ended) == self._proposed

    def propose(self) -> Candidate | None:
        """Returns the candidate to run next, None if the algorithm waits for results.

        A candidate with a trial in the cache is not returned: that trial counts as a trial of this search.

        Raises:
            SpaceExhaustedError: if all trials were proposed, or the search algorithm has nothing new.
        """
        while (candidate := self._next()) is not None:
            cached = self._cache.find(candidate)
            if cached is None:
                break
            trial, folder = cached
            self.on_started(candidate)
            self.on_result(replace(trial, elapsed=self.elapsed), folder)
        return candidate

    def _next(self) -> Candidate | None:
        """Returns a candidate that was running when the search was interrupted, else a new one or None."""
        if self._interrupted:
            return self._interrupted.popleft()
        if self._proposed >= self._trials:  # larger if a search is resumed with fewer trials
            raise SpaceExhaustedError
        candidate = self._algorithm.suggest()
        if candidate is not None:
            self._journal.write(ProposedEvent(candidate))
            self._proposed += 1
        return candidate

    def on_started(self, candidate: Candidate) -> None:
        """Passes on that a trial starts."""
        self._listener.on_started(candidate)

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Passes on the losses of an epoch."""
        self._listener.on_epoch(candidate, epoch, losses)

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Stores the result of a trial, and passes it on to the search algorithm and the listener."""
        self._journal.write(EndedEvent(trial, folder))
        self._store(trial, folder)
        self._listener.on_result(trial, folder)

    def _store(self, trial: Trial, folder: Path | None) -> None:
        self.ended.append((trial, folder))
        self._algorithm.update(trial)

    def _replay(self) -> None:
        """Makes the calls of the journal again; the listener learns nothing of them."""
        running: dict[int, Candidate] = {}
        for event in self._journal.read():
            if isinstance(event, EndedEvent):
                running.pop(event.trial.candidate.number)
                self._store(event.trial, event.files)
            else:
                if self._algorithm.suggest() != event.candidate:
                    raise TsadError(
                        f"{self._journal.path}: the search algorithm must propose the candidates of the journal again, but did "
                        f"not propose {event.candidate.name}; search without --resume"
                    )
                self._proposed += 1
                running[event.candidate.number] = event.candidate
        self._interrupted.extend(running.values())
