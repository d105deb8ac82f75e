"""Evolution by generations: elites, tournament, crossover, mutation (Eiben and Smith 2015, chapters 3 and 5).

Children are bred in a pool, and the one that a surrogate promises most of is tried, as in NPENAS (Wei et al. 2020, arXiv
2003.12857) and BANANAS (White et al., AAAI 2021, arXiv 1910.11858).
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from scipy.stats import rankdata

from tsad.arrays import Floats
from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm
from tsad.tuning.algorithms.genetics import mutated, strata, widest
from tsad.tuning.algorithms.surrogate import Surrogate
from tsad.tuning.pareto import best_first, comparable, objectives
from tsad.tuning.space import Params, Space

_QUICKEST = 0.1
"""Seconds that a trial is taken to last at least."""
Child = tuple[Params, tuple[int, ...]]
"""Genes by address, complete or not, and the numbers of the parents."""


class EvolutionSpec(Spec):
    """How candidates are bred.

    Attributes:
        population: Candidates in a generation; if it is smaller than the trials side by side, some cores idle. The first
            has as many as the widest gene has options, if that is more and they are no numbers, each proposed once
            before anything is bred: what was never tried has no parents.
        elites: Best parents so far that stay parents beside the next generation; they are not trained again.
        tournament: Parents drawn at random, the best of which breeds.
        crossover: Chance that a child has two parents, each gene from either.
        mutation: Chance that a gene of a child changes.
        immigrants: Chance that a child has no parents: all its genes are drawn.
        surrogate: Guesses what children are worth before they are tried; `none` tries the first that is bred.
        pool: Children that are bred for each that is tried, if there is a surrogate; more of them trust it more.
        saves: What a search is short of. `trials`: a generation waits for the one before, and the child that promises most
            is tried, however long it takes. `seconds`: nobody waits, and the child that promises most for a second is tried
            (expected improvement per second, Snoek et al. 2012, arXiv 1206.2944, section 3.2); what is proposed then
            depends on what ends when. `auto` is seconds in a search of limited seconds, else trials.
    """

    kind: Literal["evolution"] = "evolution"
    population: int = Field(4, ge=2)
    elites: int = Field(4, ge=1)
    tournament: int = Field(3, ge=1)
    crossover: float = Field(0.5, ge=0, le=1)
    mutation: float = Field(0.25, gt=0, le=1)
    immigrants: float = Field(0.1, ge=0, lt=1)
    surrogate: Literal["none", "gaussian_process"] = "gaussian_process"
    pool: int = Field(16, ge=2)
    saves: Literal["auto", "trials", "seconds"] = "auto"

    @model_validator(mode="after")
    def _some_new(self) -> "EvolutionSpec":
        if self.elites > self.population:
            raise ValueError(f"elites must not exceed population, but got {self.elites} and {self.population}")
        return self

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; with costs, parents are ranked by front and crowding (`tsad.tuning.pareto`)."""
        return Evolution(self, CandidateFactory(space, seed), minimize)


class Evolution:
    """Breeds a generation from the finished trials of the one before and the elites.

    If trials are to be saved, a generation is proposed only when the one before has ended, and learns from none of its own,
    so what is proposed does not depend on which of the running trials ends first. If seconds are, it is bred from what has
    ended by then, and late ones breed with the next. Stopped and failed trials never breed: their values are not those of
    a whole training. The surrogate takes them for as poor as the poorest that finished.
    """

    def __init__(self, spec: EvolutionSpec, factory: CandidateFactory, minimize: Sequence[str]) -> None:
        self._spec = spec
        self._factory = factory
        self._minimize = minimize
        self._generation = 0
        self._born = 0
        self._running: dict[int, Candidate] = {}
        self._ended: dict[int, Trial] = {}
        self._young: list[Trial] = []
        self._parents: list[Trial] = []
        self._due = max(spec.population, widest(factory.space))
        self._strata = strata(factory, self._due)
        self._surrogate = Surrogate(factory.space) if spec.surrogate == "gaussian_process" else None
        self._pace: Surrogate | None = None

    def suggest(self) -> Candidate | None:
        """Returns the next child of the generation, or None if it has to wait for the last of the one before."""
        if self._born == self._due:
            if self._running and self._spec.saves != "seconds":
                return None
            self._turn()
        children = self._children()
        candidate = self._factory.candidate(lambda: next(children), self._generation)
        if self._surrogate is not None and self._parents:
            self._surrogate.believe(candidate.params)
        self._born += 1
        self._running[candidate.number] = candidate
        return candidate

    def update(self, trial: Trial) -> None:
        """Takes a trial into the generation's balance."""
        self._running.pop(trial.candidate.number)
        self._ended[trial.candidate.number] = trial
        self._young.append(trial)

    def _turn(self) -> None:
        """Chooses the parents of the next generation, and teaches the surrogate all that is known."""
        trials = [self._ended[number] for number in sorted(self._ended)]
        young = sorted(filter(comparable, self._young), key=lambda trial: trial.candidate.number)
        elites = self._parents[: self._spec.elites]
        self._parents = best_first(elites + young, self._minimize)[: self._spec.population]
        self._young = []
        self._generation += 1
        self._born, self._due = 0, self._spec.population
        if self._surrogate is not None and self._parents:
            self._surrogate.fit([trial.candidate.params for trial in trials], self._goals(trials))
            for number in sorted(self._running):
                self._surrogate.believe(self._running[number].params)
            if self._spec.saves == "seconds":
                self._learn_pace([trial for trial in trials if trial.state == "finished" and not trial.reused])

    def _learn_pace(self, trained: Sequence[Trial]) -> None:
        """Teaches what candidates take, in logarithms; trials that were stopped say too little of it."""
        if len(trained) > 1:
            self._pace = self._pace or Surrogate(self._factory.space)
            seconds = np.array([max(trial.seconds, _QUICKEST) for trial in trained])
            self._pace.fit([trial.candidate.params for trial in trained], np.log(seconds))

    def _goals(self, trials: Sequence[Trial]) -> Floats:
        """Returns what the surrogate learns: the value, or with costs a scalar of this generation (`scalarized`)."""
        finished = [trial for trial in trials if comparable(trial)]
        goals = scalarized(objectives(finished, self._minimize), self._factory.generator)
        known = {trial.candidate.number: goal for trial, goal in zip(finished, goals, strict=True)}
        return np.array([known.get(trial.candidate.number, goals.min()) for trial in trials])

    def _children(self) -> Iterator[Child]:
        """Yields children for ever: as they are bred, or those of a pool in the order of what the surrogate promises."""
        while True:
            if self._surrogate is None or not self._parents:
                yield self._breed()
                continue
            pool = [self._grown(self._breed()) for _ in range(self._spec.pool)]
            promises = self._surrogate.promise([params for params, _ in pool])
            if self._pace is not None:
                promises = promises / np.exp(self._pace.expect([params for params, _ in pool]))
            yield from (pool[place] for place in np.argsort(-promises, kind="stable"))

    def _grown(self, child: Child) -> Child:
        """Returns the child with all genes that it needs and no other."""
        params, parents = child
        return self._factory.space.resolve(params, self._factory.generator)[1], parents

    def _breed(self) -> Child:
        """Returns a child; without parents, of the next stratum, or without genes, so that all are drawn."""
        generator = self._factory.generator
        if not self._parents:
            return (self._strata.pop() if self._strata else {}), ()
        if generator.random() < self._spec.immigrants:
            return {}, ()
        mother = self._select(self._parents)
        params, family = mother.candidate.params, [mother.candidate.number]
        others = [parent for parent in self._parents if parent is not mother]
        if others and generator.random() < self._spec.crossover:
            father = self._select(others).candidate
            family = sorted([*family, father.number])
            theirs = {
                address: value
                for address, value in params.items()
                if address not in father.params or generator.random() < 0.5
            }
            params, _ = self._grown(({**father.params, **theirs}, ()))
        return mutated(self._factory, params, self._spec.mutation), tuple(family)

    def _select(self, parents: Sequence[Trial]) -> Trial:
        """Returns the winner of a tournament; `parents` are best first."""
        return parents[int(self._factory.generator.integers(len(parents), size=self._spec.tournament).min())]


def scalarized(points: Floats, generator: Generator) -> Floats:
    """Returns one number per point, all to be large: the one objective, or a mixture with weights drawn anew at each call.

    The mixture is ParEGO's (Knowles, IEEE TEC 10(1), 2006, eq. 2), the augmented Chebyshev function with 0.05, on each
    objective's ranks from 0 to 1 in place of its range, so that no outlier decides; every point of the best front is best
    for some weights.
    """
    if points.shape[1] == 1:
        return points[:, 0]
    ranks = rankdata(points, axis=0) / len(points)
    weighted = generator.dirichlet(np.ones(points.shape[1])) * (ranks - 1)
    return np.asarray(weighted.min(axis=1) + 0.05 * weighted.sum(axis=1))
