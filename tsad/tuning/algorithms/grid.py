"""Grid search: every combination of the options of all hyperparameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm, SpaceExhaustedError
from tsad.tuning.space import ChoiceParam, MissingParamError, Space


class GridSpec(Spec):
    """Grid search: every combination in the order of the file, the last hyperparameter changing fastest.

    A range counts as a few of its values (`RangeParam.points`). Combinations that make equal experiments are tried once. The
    seed makes no difference.
    """

    kind: Literal["grid"]

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; costs make no difference."""
        return GridSearch(CandidateFactory(space, seed))


class GridSearch:
    """Proposes one combination after the other and learns nothing from results.

    Args:
        factory: Factory of the candidates.
    """

    def __init__(self, factory: CandidateFactory) -> None:
        self._factory = factory
        self._remaining = combinations(factory.space, {})

    def suggest(self) -> Candidate | None:
        """Returns the next combination that is new and valid; raises `SpaceExhaustedError` after the last."""
        for params in self._remaining:
            if (candidate := self._factory.new(params)) is not None:
                return candidate
        raise SpaceExhaustedError

    def update(self, trial: Trial) -> None:
        """Does nothing."""


def combinations(space: Space, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every complete assignment of the hyperparameters that are active under `params`, with the values of `params`."""
    try:
        _, active = space.resolve(params)
        yield active
    except MissingParamError as missing:
        param = space.params[missing.address]
        values = range(len(param.choice)) if isinstance(param, ChoiceParam) else param.points()
        for value in values:
            yield from combinations(space, {**params, missing.address: value})
