"""Random search: the rival that every designer has to beat."""

from collections.abc import Sequence
from typing import Literal

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import Designer, Nursery
from tsad.tuning.space import Space


class RandomSpec(Spec):
    """Every gene drawn on its own."""

    kind: Literal["random"]

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> Designer:
        """Returns the designer; costs make no difference."""
        return RandomDesigner(Nursery(space, seed))


class RandomDesigner:
    """Draws, and learns nothing."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery

    def suggest(self) -> Candidate | None:
        """Returns a new random candidate."""
        return self._nursery.candidate(lambda: ({}, ()), generation=0)

    def update(self, trial: Trial) -> None:
        """Does nothing."""
