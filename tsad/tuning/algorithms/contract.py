"""Interface of search algorithms: they propose candidates and learn from their results."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tsad.config import ExperimentConfig
from tsad.errors import SpecError
from tsad.selection.trial import Candidate, Trial
from tsad.spec import flatten, parse
from tsad.tuning.space import Params, Space

_REDRAWS = 200
"""Number of proposals without a new candidate after which a space counts as exhausted."""

Proposal = tuple[Params, tuple[int, ...]]
"""Hyperparameters by address, possibly incomplete, and the numbers of the candidates that they come from."""


class SpaceExhaustedError(Exception):
    """There is no new candidate, or none was found in many draws; the search ends with the candidates that it has."""


class SearchAlgorithm(Protocol):
    """A strategy that proposes the candidates of a search. It gets the result of every trial, and decides which count.

    Its proposals depend on its seed and on the calls before, and on nothing else: no clock and no hash order. A search is
    resumed by making the same calls again to a new search algorithm.
    """

    def suggest(self) -> Candidate | None:
        """Returns a candidate that was not proposed before, or None if the algorithm has to wait for running trials.

        Raises:
            SpaceExhaustedError: if there is nothing new left to propose.
        """

    def update(self, trial: Trial) -> None:
        """Learns the result of a proposed candidate."""


class CandidateFactory:
    """Makes candidates of hyperparameters: resolved, checked, numbered, and none of them twice.

    Args:
        space: Search space of the hyperparameters.
        seed: Seed of `generator`.

    Attributes:
        space: Search space of the hyperparameters.
        generator: Random generator for all draws of a search algorithm.

    Example:
        >>> values = {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "window": {"length": {"choice": [4, 8]}}}
        >>> factory = CandidateFactory(Space(values), seed=0)
        >>> candidate, is_new = factory.admit({"window.length": 1})
        >>> candidate.name, candidate.experiment.window.length, is_new
        ('g00-l2-000', 8, True)
        >>> factory.new({"window.length": 1}) is None
        True
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.generator = np.random.default_rng(seed)
        self._candidates: dict[str, Candidate] = {}

    def candidate(self, propose: Callable[[], Proposal], generation: int) -> Candidate:
        """Returns the candidate of the first proposal that is valid and new.

        Args:
            propose: Returns another proposal in each call.
            generation: Number of the generation that the candidate belongs to.

        Raises:
            SpaceExhaustedError: if many proposals in a row are not.
        """
        for _ in range(_REDRAWS):
            if (candidate := self.new(*propose(), generation)) is not None:
                return candidate
        raise SpaceExhaustedError

    def new(self, params: Params, parents: tuple[int, ...] = (), generation: int = 0) -> Candidate | None:
        """Returns the candidate that hyperparameters make; None if it was made before or is no valid experiment."""
        try:
            candidate, is_new = self.admit(params, parents, generation)
        except SpecError:
            return None
        return candidate if is_new else None

    def admit(self, params: Params, parents: tuple[int, ...] = (), generation: int = 0) -> tuple[Candidate, bool]:
        """Returns the candidate that hyperparameters make, missing ones drawn, and whether it is new.

        If an equal experiment was made before, the candidate is the earlier one.

        Raises:
            SpecError: if the hyperparameters make no valid experiment.
        """
        active, experiment = self.resolve(params)
        candidate = Candidate(len(self._candidates), generation, active, experiment, parents)
        first = self._candidates.setdefault(candidate.config_fingerprint, candidate)
        return first, first is candidate

    def resolve(self, params: Params) -> tuple[dict[str, Any], ExperimentConfig]:
        """Returns the active hyperparameters, missing ones drawn, and the experiment that they make.

        Raises:
            SpecError: if the hyperparameters make no valid experiment.
        """
        values, active = self.space.resolve(params, self.generator)
        return active, parse(ExperimentConfig, values, "search space")


def check_space(space: Space, draws: int = 50) -> None:
    """Checks a space by drawing candidates at random; combinations that no draw meets are skipped by a search that meets them.

    Raises:
        SpecError: if the space has no hyperparameter, a drawn candidate is no valid experiment, or a condition names a path
            that no drawn experiment has.
    """
    if not space.params:
        raise SpecError(
            "a search space must have at least one hyperparameter ({choice: [...]} or {range: [...]}), but has none; make "
            "one of its values a choice"
        )
    factory = CandidateFactory(space, seed=0)
    seen: set[str] = set()
    for _ in range(draws):
        factory.admit({})
        seen |= flatten(space.resolve({}, factory.generator)[0]).keys()
    for address, param in space.params.items():
        for path in param.when.keys() - seen:
            raise SpecError(
                f"{address}: when must name paths that the file sets, but nothing in it sets {path}; add a value at that path"
            )
