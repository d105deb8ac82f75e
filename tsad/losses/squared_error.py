"""Mean squared error."""

from typing import Literal

from torch import Tensor

from tsad.losses.contract import Term, TrainingContext
from tsad.losses.weighted_error import WeightedError, WeightedErrorSpec


class SquaredErrorSpec(WeightedErrorSpec):
    """Mean over windows, steps and features of the squared residual, each feature with its weight."""

    kind: Literal["squared_error"] = "squared_error"

    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the weighting needs labels and there are none."""
        return SquaredError(self.weighting.build(context))


class SquaredError(WeightedError):
    """Mean of weight[f] * residual[f]^2."""

    def errors(self, residual: Tensor) -> Tensor:
        """Returns the squares."""
        return residual.square()
