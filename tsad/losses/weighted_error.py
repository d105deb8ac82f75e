"""Base of the error terms: each feature counts with a weight of its own."""

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from torch import Tensor

from tsad.losses.contract import BaseTermSpec, BatchOutput, Term
from tsad.losses.feature_weights import EqualWeighting, FeatureScaledWeighting, FeatureWeights
from tsad.losses.forest_weights import ForestWeighting


def _from_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


WeightingSpec = Annotated[
    Annotated[EqualWeighting | FeatureScaledWeighting | ForestWeighting, Field(discriminator="kind")],
    BeforeValidator(_from_name),
]
"""Every weighting that a YAML can name; `weighting: forest` is short for `weighting: {kind: forest}`."""


class WeightedErrorSpec(BaseTermSpec):
    """An error whose features are weighted.

    Attributes:
        weighting: How much each feature counts.
    """

    weighting: WeightingSpec = EqualWeighting()

    @property
    def reads_labels(self) -> bool:
        """Whether labels decide the weights of features."""
        return self.weighting.reads_labels


class WeightedError(Term):
    """Mean of weight[f] * error(residual[f]) over windows, steps and features, hidden or not."""

    def __init__(self, weights: FeatureWeights) -> None:
        super().__init__()
        self.weights = weights

    @abstractmethod
    def errors(self, residual: Tensor) -> Tensor:
        """Returns the (B, H, F) errors of a (B, H, F) residual."""

    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the weighted mean."""
        residual = output.residual
        return (self.errors(residual) * self.weights(residual)).mean()
