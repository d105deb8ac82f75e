"""What every search algorithm does: propose candidates, and learn what became of them."""

from typing import Any, Protocol

import numpy as np

from tsad.errors import SpecError
from tsad.experiment import ExperimentConfig
from tsad.selection.trial import Candidate, Trial
from tsad.spec import flatten, parse
from tsad.tuning.space import Params, Space

_REDRAWS = 200


class SpaceExhaustedError(Exception):
    """No new candidate was found in many tries; the search ends with those it has."""


class SearchAlgorithm(Protocol):
    """A search strategy. It is told of every trial, and decides itself which count.

    What it proposes depends on its seed and on the calls before and on nothing else, no clock, no hash order: a search that
    was killed goes on by making the same calls again to a fresh search algorithm.
    """

    def suggest(self) -> Candidate | None:
        """Returns a candidate that was not proposed before, or None if it has to wait for running trials.

        Raises:
            SpaceExhaustedError: if there is nothing new left to propose.
        """

    def update(self, trial: Trial) -> None:
        """Learns how a proposed candidate ended."""


class CandidateFactory:
    """Makes candidates of hyperparameters: resolved, checked, numbered, and never the same twice."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.generator = np.random.default_rng(seed)
        self._candidates: dict[str, Candidate] = {}

    def candidate(self, propose: "Proposal", generation: int) -> Candidate:
        """Returns the first proposal that is new.

        Raises:
            SpaceExhaustedError: if many in a row are not.
        """
        for _ in range(_REDRAWS):
            if (candidate := self.new(*propose(), generation)) is not None:
                return candidate
        raise SpaceExhaustedError

    def new(self, params: Params, parents: tuple[int, ...] = (), generation: int = 0) -> Candidate | None:
        """Returns the candidate of some hyperparameters; None if it was proposed before, or they make no valid experiment."""
        try:
            candidate, new = self.admit(params, parents, generation)
        except SpecError:
            return None
        return candidate if new else None

    def admit(self, params: Params, parents: tuple[int, ...] = (), generation: int = 0) -> tuple[Candidate, bool]:
        """Returns the candidate of some hyperparameters, missing ones drawn, and whether it is new; if not, it is the earlier one.

        Raises:
            SpecError: if they make no valid experiment.
        """
        active, experiment = self.resolve(params)
        candidate = Candidate(len(self._candidates), generation, active, experiment, parents)
        first = self._candidates.setdefault(candidate.config_fingerprint, candidate)
        return first, first is candidate

    def resolve(self, params: Params) -> tuple[dict[str, Any], ExperimentConfig]:
        """Returns the active hyperparameters, missing ones drawn, and the experiment that they make.

        Raises:
            SpecError: if they make no valid experiment.
        """
        values, active = self.space.resolve(params, self.generator)
        return active, parse(ExperimentConfig, values, "search space")


class Proposal(Protocol):
    """Gives hyperparameters, complete or not, and the numbers of the candidates they came from."""

    def __call__(self) -> tuple[Params, tuple[int, ...]]:
        """Returns hyperparameters by address and the parents' numbers."""


def check_space(space: Space, draws: int = 50) -> None:
    """Raises `SpecError` if the space has no hyperparameter, a random candidate is no valid experiment, or a condition is void.

    What is so rare that no draw meets it, a search that meets it passes over.
    """
    if not space.params:
        raise SpecError(
            "a search space must have at least one hyperparameter ({choice: [...]} or {range: [...]}), but has none"
        )
    factory = CandidateFactory(space, seed=0)
    seen: set[str] = set()
    for _ in range(draws):
        factory.admit({})
        seen |= flatten(space.resolve({}, factory.generator)[0]).keys()
    for address, param in space.params.items():
        for path in param.when.keys() - seen:
            raise SpecError(f"{address}: when must name paths that the file sets, but nothing in it sets {path}")
