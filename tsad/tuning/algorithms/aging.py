"""Aging evolution, which the source calls regularized (Real et al., AAAI 2019, arXiv 1802.01548, algorithm 1)."""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm
from tsad.tuning.algorithms.genetics import mutated, strata
from tsad.tuning.pareto import best_first, comparable
from tsad.tuning.space import Params, Space


class AgingSpec(Spec):
    """How candidates are bred, one by one: the best of a sample has a child, and the oldest dies, however good it is.

    Nothing waits, so with trials side by side what is proposed depends on which of them ends first.

    Attributes:
        population: Finished trials that live, the youngest; as many candidates are drawn before any is bred.
        sample: Of those that live, drawn with replacement to choose a parent from.
    """

    kind: Literal["aging"]
    population: int = Field(12, ge=2)
    sample: int = Field(4, ge=1)

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; with costs, those that live are ranked by front and crowding (`tsad.tuning.pareto`)."""
        return AgingEvolution(self, CandidateFactory(space, seed), minimize)


class AgingEvolution:
    """Keeps a queue of finished trials, youngest last.

    Departures: the first candidates have every option equally often, and no child repeats an earlier candidate.
    """

    def __init__(self, spec: AgingSpec, factory: CandidateFactory, minimize: Sequence[str]) -> None:
        self._sample = spec.sample
        self._factory = factory
        self._minimize = minimize
        self._strata = strata(factory, spec.population)
        self._alive: deque[Trial] = deque(maxlen=spec.population)

    def suggest(self) -> Candidate | None:
        """Returns one of the first generation, or a child; random ones as long as nothing has finished."""
        return self._factory.candidate(self._propose, generation=0)

    def update(self, trial: Trial) -> None:
        """Lets a finished trial live, and the oldest die."""
        if comparable(trial):
            self._alive.append(trial)

    def _propose(self) -> tuple[Params, tuple[int, ...]]:
        if self._strata or not self._alive:
            return (self._strata.pop() if self._strata else {}), ()
        best = int(self._factory.generator.integers(len(self._alive), size=self._sample).min())
        parent = best_first(self._alive, self._minimize)[best].candidate
        return mutated(self._factory, parent.params), (parent.number,)
