"""MAP-Elites: evolution that keeps the best trial of each niche (Mouret and Clune 2015, arXiv 1504.04909, figure 2)."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tsad.errors import SpecError
from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, Proposal, SearchAlgorithm
from tsad.tuning.algorithms.genetics import crossed, largest_choice, mutated, strata
from tsad.tuning.niches import Niche, niche_elites
from tsad.tuning.space import Space

_STRATUM_DRAWS = 20
"""Number of draws of the conditional hyperparameters of a first candidate before its options are given up."""
_REDRAWS = 50
"""Number of children, and then of random candidates, that are drawn in search of a family below its limit."""


class MapElitesSpec(Spec):
    """MAP-Elites: every niche, a family of models with short, medium or long memory, keeps its best trial as a parent.

    For a search that should end with good detectors of different kinds, for an ensemble or because the maximized value is a
    poor guide to the metrics of the test rows. Where one family is known to be best, `evolution` finds its best
    hyperparameters in fewer trials. A space with one niche makes this a climb from the best trial so far.

    Nothing waits, so with parallel trials the proposals depend on the order in which trials end.

    Attributes:
        population: Number of first candidates, which are drawn with all options equally often. There are more if a
            hyperparameter has more options that are not numbers, so that each option is proposed before any child.
        crossover: Probability that a child has the elites of two niches as parents, each hyperparameter coming from either.
        mutation: Probability that a hyperparameter of a child changes; at least one changes.
        random_fraction: Probability that a child has no parents and all its hyperparameters are drawn.
        largest_share: Largest share of one family among the proposed candidates, above 0 and at most 1 (no limit), rounded
            up to whole candidates; before there are `population` of them, the share of `population`. The first candidates
            are spread evenly whatever their families. If the space has too few families for the limit, or nothing new in
            the others, the family with the fewest candidates comes next.
    """

    kind: Literal["map_elites"]
    population: int = Field(12, ge=2)
    crossover: float = Field(0.5, ge=0, le=1)
    mutation: float = Field(0.25, gt=0, le=1)
    random_fraction: float = Field(0.1, ge=0, lt=1)
    largest_share: float = Field(0.3, gt=0, le=1)

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; costs decide only between trials of equal value, since a niche keeps one trial."""
        return MapElites(self, CandidateFactory(space, seed), minimize)


class MapElites:
    """Proposes children of the best finished trials of niches (`tsad.tuning.niches`), all niches equally often.

    Departures from the paper: the first candidates contain every option equally often, a child may have two parents, no
    child repeats an earlier candidate, and the number of candidates of a family is limited.

    Args:
        spec: Settings of the search algorithm.
        factory: Factory of the candidates; its generator makes all random draws.
        minimize: Names of the costs that are minimized as well.
    """

    def __init__(self, spec: MapElitesSpec, factory: CandidateFactory, minimize: Sequence[str]) -> None:
        self._spec = spec
        self._factory = factory
        self._minimize = minimize
        self._strata = strata(factory, max(spec.population, largest_choice(factory.space)))
        self._elites: dict[Niche, Trial] = {}
        self._proposed: Counter[str] = Counter()

    def suggest(self) -> Candidate | None:
        """Returns one of the first candidates, or a child; random candidates as long as no niche is occupied."""
        candidate = self._first() or self._limited()
        self._proposed[candidate.family] += 1
        return candidate

    def update(self, trial: Trial) -> None:
        """Makes a finished trial the elite of its niche if it is better; one without hyperparameters cannot be a parent."""
        if trial.candidate.params:
            self._elites |= niche_elites([*self._elites.values(), trial], self._minimize)

    def _first(self) -> Candidate | None:
        """Returns the next of the first candidates; None after the last."""
        while self._strata:
            options = self._strata.pop()
            for _ in range(_STRATUM_DRAWS):
                if (candidate := self._factory.new(options)) is not None:
                    return candidate
        return None

    def _limited(self) -> Candidate:
        """Returns a new child of a family below its limit; if none is drawn, of the family with the fewest candidates."""
        children_over_limit = []
        for draw in range(2 * _REDRAWS):
            params, parents = self._child() if draw < _REDRAWS else ({}, ())
            try:
                active, experiment = self._factory.resolve(params)
            except SpecError:
                continue
            if self._proposed[experiment.family] >= self._limit():
                children_over_limit.append((experiment.family, active, parents))
            elif (candidate := self._factory.new(active, parents)) is not None:
                return candidate
        for _, active, parents in sorted(children_over_limit, key=lambda child: self._proposed[child[0]]):
            if (candidate := self._factory.new(active, parents)) is not None:
                return candidate
        return self._factory.candidate(self._child, generation=0)

    def _limit(self) -> int:
        """Returns the number of candidates of one family, the next included, that must not be exceeded."""
        total = max(self._proposed.total() + 1, self._spec.population)
        return math.ceil(round(self._spec.largest_share * total, 9))  # 0.07 * 100 is a little more than 7

    def _child(self) -> Proposal:
        """Returns a child of one or two elites, or one without parents."""
        generator, elites = self._factory.generator, list(self._elites.values())
        if not elites or generator.random() < self._spec.random_fraction:
            return {}, ()
        count = 2 if len(elites) > 1 and generator.random() < self._spec.crossover else 1
        drawn = generator.choice(len(elites), size=count, replace=False)
        parents = [elites[index].candidate for index in drawn]
        params = parents[0].params
        if count == 2:
            params = crossed(self._factory, params, parents[1].params)
        numbers = tuple(sorted(parent.number for parent in parents))
        return mutated(self._factory, params, self._spec.mutation), numbers
