"""Grid search: the full factorial of all choices."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm, SpaceExhaustedError
from tsad.tuning.space import ChoiceParam, MissingParamError, Space


class GridSpec(Spec):
    """Every combination of options in the order of the file, the last hyperparameter changing fastest; each training once.

    A range counts as a few of its values (`RangeParam.points`). The seed makes no difference.
    """

    kind: Literal["grid"]

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; costs make no difference."""
        return GridSearch(CandidateFactory(space, seed))


class GridSearch:
    """Walks through the combinations, and learns nothing."""

    def __init__(self, factory: CandidateFactory) -> None:
        self._factory = factory
        self._rest = combinations(factory.space, {})

    def suggest(self) -> Candidate | None:
        """Returns the next combination that is new and valid."""
        for params in self._rest:
            if (candidate := self._factory.new(params)) is not None:
                return candidate
        raise SpaceExhaustedError

    def update(self, trial: Trial) -> None:
        """Does nothing."""


def combinations(space: Space, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every complete assignment of the hyperparameters that are active under `params`, those of `params` kept."""
    try:
        _, active = space.resolve(params)
        yield active
    except MissingParamError as missing:
        param = space.params[missing.address]
        values = range(len(param.choice)) if isinstance(param, ChoiceParam) else param.points()
        for value in values:
            yield from combinations(space, {**params, missing.address: value})
