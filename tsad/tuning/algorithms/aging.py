"""Aging evolution, which the source calls regularized (Real et al., AAAI 2019, arXiv 1802.01548, algorithm 1)."""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, Proposal, SearchAlgorithm
from tsad.tuning.algorithms.genetics import mutated, strata
from tsad.tuning.pareto import best_first, comparable
from tsad.tuning.space import Space


class AgingSpec(Spec):
    """Aging evolution: the best of a sample gets a child, and the oldest trial leaves the population, however good it is.

    Nothing waits, so with parallel trials the proposals depend on the order in which trials end.

    Attributes:
        population: Number of finished trials in the population, the youngest ones; as many candidates are drawn before any
            has parents.
        sample: Number of draws, with replacement, from the population; the best draw is the parent.
    """

    kind: Literal["aging"]
    population: int = Field(12, ge=2)
    sample: int = Field(4, ge=1)

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; with costs, the population is ranked by front and crowding (`tsad.tuning.pareto`)."""
        return AgingEvolution(self, CandidateFactory(space, seed), minimize)


class AgingEvolution:
    """Proposes children of a queue of finished trials, the youngest last.

    Departures from the paper: the first candidates contain every option equally often, and no child repeats an earlier
    candidate.

    Args:
        spec: Sizes of population and sample.
        factory: Factory of the candidates; its generator makes all random draws.
        minimize: Names of the costs that are minimized as well.
    """

    def __init__(self, spec: AgingSpec, factory: CandidateFactory, minimize: Sequence[str]) -> None:
        self._sample = spec.sample
        self._factory = factory
        self._minimize = minimize
        self._strata = strata(factory, spec.population)
        self._population: deque[Trial] = deque(maxlen=spec.population)

    def suggest(self) -> Candidate | None:
        """Returns a candidate of the first generation, or a child; random candidates as long as no trial has finished."""
        return self._factory.candidate(self._propose, generation=0)

    def update(self, trial: Trial) -> None:
        """Adds a finished trial to the population, which removes the oldest if it is full."""
        if comparable(trial):
            self._population.append(trial)

    def _propose(self) -> Proposal:
        if self._strata or not self._population:
            return (self._strata.pop() if self._strata else {}), ()
        best = int(self._factory.generator.integers(len(self._population), size=self._sample).min())
        parent = best_first(self._population, self._minimize)[best].candidate
        return mutated(self._factory, parent.params), (parent.number,)
