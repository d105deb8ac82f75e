"""Random search: the baseline that every other search algorithm is compared with."""

from collections.abc import Sequence
from typing import Literal

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm
from tsad.tuning.space import Space


class RandomSpec(Spec):
    """Random search: each hyperparameter is drawn independently."""

    kind: Literal["random"]

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; costs make no difference."""
        return RandomSearch(CandidateFactory(space, seed))


class RandomSearch:
    """Proposes independent random candidates and learns nothing from results.

    Args:
        factory: Factory of the candidates; its generator makes all random draws.
    """

    def __init__(self, factory: CandidateFactory) -> None:
        self._factory = factory

    def suggest(self) -> Candidate | None:
        """Returns a new random candidate."""
        return self._factory.candidate(lambda: ({}, ()), generation=0)

    def update(self, trial: Trial) -> None:
        """Does nothing."""
