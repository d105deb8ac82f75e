"""Evolution by generations: elites, tournament, crossover, mutation (Eiben and Smith 2015, chapters 3 and 5).

Children are made in a pool, and the child from which a surrogate expects the largest improvement is tried, as in NPENAS
(Wei et al. 2020, arXiv 2003.12857) and BANANAS (White et al., AAAI 2021, arXiv 1910.11858).
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
from tsad.tuning.algorithms.contract import CandidateFactory, Proposal, SearchAlgorithm
from tsad.tuning.algorithms.genetics import crossed, largest_choice, mutated, strata
from tsad.tuning.algorithms.surrogate import Surrogate
from tsad.tuning.pareto import best_first, comparable, objectives
from tsad.tuning.space import Space

_SHORTEST = 0.1
"""Seconds that every trial is taken to last at least, so that the logarithm of a duration stays bounded."""


class EvolutionSpec(Spec):
    """Evolution by generations: the best trials are parents, and a surrogate chooses among their children.

    Attributes:
        population: Number of candidates in a generation; if it is smaller than the number of parallel trials, some cores
            idle. The first generation is larger if a hyperparameter has more options that are not numbers: each option is
            proposed once before any crossover, because an option that was never tried has no parents.
        elites: Number of best parents so far that remain parents next to the trials of the next generation; they are not
            trained again.
        tournament: Number of parents that are drawn at random; the best of them has a child.
        crossover: Probability that a child has two parents, each hyperparameter coming from either.
        mutation: Probability that a hyperparameter of a child changes.
        random_fraction: Probability that a child has no parents and all its hyperparameters are drawn.
        surrogate: Model that predicts the value of children before they are tried; `none` tries the first child.
        pool: Number of children from which one is chosen, if there is a surrogate; a larger pool relies more on it.
        budget: What limits the search. `trials`: a generation waits for the one before, and the child with the largest
            expected improvement is tried, however long it takes. `seconds`: nothing waits, and the child with the largest
            expected improvement per second is tried (Snoek et al. 2012, arXiv 1206.2944, section 3.2); the proposals then
            depend on the order in which trials end. `auto` is `seconds` if `search.seconds` is set, else `trials`.
    """

    kind: Literal["evolution"] = "evolution"
    population: int = Field(4, ge=2)
    elites: int = Field(4, ge=1)
    tournament: int = Field(3, ge=1)
    crossover: float = Field(0.5, ge=0, le=1)
    mutation: float = Field(0.25, gt=0, le=1)
    random_fraction: float = Field(0.1, ge=0, lt=1)
    surrogate: Literal["none", "gaussian_process"] = "gaussian_process"
    pool: int = Field(16, ge=2)
    budget: Literal["auto", "trials", "seconds"] = "auto"

    @model_validator(mode="after")
    def _check_elites(self) -> "EvolutionSpec":
        if self.elites > self.population:
            raise ValueError(
                f"elites must not exceed population, but got elites={self.elites} and population={self.population}; set "
                f"elites to {self.population} or less"
            )
        return self

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; with costs, parents are ranked by front and crowding (`tsad.tuning.pareto`)."""
        return Evolution(self, CandidateFactory(space, seed), minimize)


class Evolution:
    """Proposes generations of children of the finished trials of the generation before and the elites.

    With a budget of trials, a generation is proposed only when the one before has ended, and learns from none of its own
    trials, so the proposals do not depend on which running trial ends first. With a budget of seconds, it has the trials
    that have ended by then as parents; later ones are parents of the next. Stopped and failed trials never are parents,
    because their values are not those of a whole training. The surrogate counts them as equal to the worst finished one.

    Args:
        spec: Settings of the evolution, with a budget that is not `auto`.
        factory: Factory of the candidates; its generator makes all random draws.
        minimize: Names of the costs that are minimized as well.
    """

    def __init__(self, spec: EvolutionSpec, factory: CandidateFactory, minimize: Sequence[str]) -> None:
        self._spec = spec
        self._factory = factory
        self._minimize = minimize
        self._generation = 0
        self._proposed = 0
        self._running: dict[int, Candidate] = {}
        self._ended: dict[int, Trial] = {}
        self._generation_trials: list[Trial] = []
        self._parents: list[Trial] = []
        self._generation_size = max(spec.population, largest_choice(factory.space))
        self._strata = strata(factory, self._generation_size)
        self._surrogate = Surrogate(factory.space) if spec.surrogate == "gaussian_process" else None
        self._duration_model: Surrogate | None = None

    def suggest(self) -> Candidate | None:
        """Returns the next child of the generation, or None if it has to wait for the last trial of the one before."""
        if self._proposed == self._generation_size:
            if self._running and self._spec.budget != "seconds":
                return None
            self._start_generation()
        children = self._children()
        candidate = self._factory.candidate(lambda: next(children), self._generation)
        if self._surrogate is not None and self._parents:
            self._surrogate.add_pending(candidate.params)
        self._proposed += 1
        self._running[candidate.number] = candidate
        return candidate

    def update(self, trial: Trial) -> None:
        """Stores a trial until the next generation starts."""
        self._running.pop(trial.candidate.number)
        self._ended[trial.candidate.number] = trial
        self._generation_trials.append(trial)

    def _start_generation(self) -> None:
        """Chooses the parents of the next generation, and fits the surrogate to all trials that have ended."""
        trials = [self._ended[number] for number in sorted(self._ended)]
        new = sorted(filter(comparable, self._generation_trials), key=lambda trial: trial.candidate.number)
        elites = self._parents[: self._spec.elites]
        self._parents = best_first(elites + new, self._minimize)[: self._spec.population]
        self._generation_trials = []
        self._generation += 1
        self._proposed, self._generation_size = 0, self._spec.population
        if self._surrogate is not None and self._parents:
            self._surrogate.fit([trial.candidate.params for trial in trials], self._targets(trials))
            for number in sorted(self._running):
                self._surrogate.add_pending(self._running[number].params)
            if self._spec.budget == "seconds":
                self._fit_durations([trial for trial in trials if trial.state == "finished" and not trial.reused])

    def _fit_durations(self, trained: Sequence[Trial]) -> None:
        """Fits the duration model to the logarithms of seconds; the seconds of stopped trials say too little."""
        if len(trained) > 1:
            self._duration_model = self._duration_model or Surrogate(self._factory.space)
            seconds = np.array([max(trial.seconds, _SHORTEST) for trial in trained])
            self._duration_model.fit([trial.candidate.params for trial in trained], np.log(seconds))

    def _targets(self, trials: Sequence[Trial]) -> Floats:
        """Returns the targets of the surrogate: values, or with costs a scalar of this generation (`scalarized`)."""
        finished = [trial for trial in trials if comparable(trial)]
        scalars = scalarized(objectives(finished, self._minimize), self._factory.generator)
        by_number = {trial.candidate.number: scalar for trial, scalar in zip(finished, scalars, strict=True)}
        return np.array([by_number.get(trial.candidate.number, scalars.min()) for trial in trials])

    def _children(self) -> Iterator[Proposal]:
        """Yields children without end: as they are made, or those of a pool by descending expected improvement."""
        while True:
            if self._surrogate is None or not self._parents:
                yield self._child()
                continue
            pool = [self._resolved(self._child()) for _ in range(self._spec.pool)]
            improvements = self._surrogate.expected_improvement([params for params, _ in pool])
            if self._duration_model is not None:
                improvements = improvements / np.exp(self._duration_model.predict([params for params, _ in pool]))
            yield from (pool[index] for index in np.argsort(-improvements, kind="stable"))

    def _resolved(self, child: Proposal) -> Proposal:
        """Returns the child with all hyperparameters that are active and no others; missing ones are drawn."""
        params, parents = child
        return self._factory.space.resolve(params, self._factory.generator)[1], parents

    def _child(self) -> Proposal:
        """Returns a child; while there are no parents, of the next stratum, or with all hyperparameters to be drawn."""
        generator = self._factory.generator
        if not self._parents:
            return (self._strata.pop() if self._strata else {}), ()
        if generator.random() < self._spec.random_fraction:
            return {}, ()
        first = self._select(self._parents)
        params, parents = first.candidate.params, [first.candidate.number]
        others = [parent for parent in self._parents if parent is not first]
        if others and generator.random() < self._spec.crossover:
            second = self._select(others).candidate
            parents = sorted([*parents, second.number])
            params = crossed(self._factory, params, second.params)
        return mutated(self._factory, params, self._spec.mutation), tuple(parents)

    def _select(self, parents: Sequence[Trial]) -> Trial:
        """Returns the winner of a tournament; `parents` are best first."""
        return parents[int(self._factory.generator.integers(len(parents), size=self._spec.tournament).min())]


def scalarized(points: Floats, generator: Generator) -> Floats:
    """Returns one number per point, larger for better points: the objective, or a mixture of several with random weights.

    The mixture is that of ParEGO (Knowles, IEEE TEC 10(1), 2006, eq. 2), the augmented Chebyshev function with 0.05, on the
    ranks of each objective from 0 to 1 in place of its range, so that no outlier decides. Every point of the best front is
    best for some weights.

    Args:
        points: Shape (points, objectives), all to be maximized.
        generator: Draws the weights, anew in each call; unused for one objective.
    """
    if points.shape[1] == 1:
        return points[:, 0]
    ranks = rankdata(points, axis=0) / len(points)
    weighted = generator.dirichlet(np.ones(points.shape[1])) * (ranks - 1)
    return np.asarray(weighted.min(axis=1) + 0.05 * weighted.sum(axis=1))
