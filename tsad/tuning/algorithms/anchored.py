"""A search algorithm behind anchors: experiments that are tried before it proposes anything."""

from collections.abc import Sequence
from dataclasses import replace

from tsad.selection.trial import Candidate, Trial
from tsad.tuning.algorithms.contract import SearchAlgorithm


class Anchored:
    """Proposes anchors first, then what another algorithm proposes, numbered after them.

    The other algorithm learns nothing of the anchors: they are no points of its space.

    Args:
        anchors: Candidates numbered from 0.
        algorithm: Search algorithm that has proposed nothing yet.
    """

    def __init__(self, anchors: Sequence[Candidate], algorithm: SearchAlgorithm) -> None:
        self._anchors = anchors
        self._algorithm = algorithm
        self._proposed = 0

    def suggest(self) -> Candidate | None:
        """Returns the next anchor, or else a candidate of the algorithm; raises `SpaceExhaustedError` as it does."""
        if self._proposed < len(self._anchors):
            self._proposed += 1
            return self._anchors[self._proposed - 1]
        candidate = self._algorithm.suggest()
        return None if candidate is None else _renumbered(candidate, len(self._anchors))

    def update(self, trial: Trial) -> None:
        """Passes the result of a trial on, unless it is an anchor."""
        if trial.candidate.number >= len(self._anchors):
            self._algorithm.update(replace(trial, candidate=_renumbered(trial.candidate, -len(self._anchors))))


def _renumbered(candidate: Candidate, shift: int) -> Candidate:
    parents = tuple(parent + shift for parent in candidate.parents)
    return replace(candidate, number=candidate.number + shift, parents=parents)
