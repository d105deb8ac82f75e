"""Errors that grow no faster than the residual: an anomaly in the training rows pulls less on the model."""

from typing import Literal

import torch
import torch.nn.functional as fn
from pydantic import Field
from torch import Tensor

from tsad.losses.contract import Term, TrainingContext
from tsad.losses.feature_weights import FeatureWeights
from tsad.losses.weighted_error import WeightedError, WeightedErrorSpec


class AbsoluteErrorSpec(WeightedErrorSpec):
    """Mean over windows, steps and features of the absolute residual, each feature with its weight."""

    kind: Literal["absolute_error"]

    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the weighting needs labels and there are none."""
        return AbsoluteError(self.weighting.build(context))


class HuberErrorSpec(WeightedErrorSpec):
    """Mean over windows, steps and features of Huber's function of the residual (Huber 1964), features weighted.

    Attributes:
        delta: Residual up to which the error is residual^2 / 2, and beyond which it is delta * (|residual| - delta / 2).
    """

    kind: Literal["huber_error"]
    delta: float = Field(1.0, gt=0)

    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the weighting needs labels and there are none."""
        return HuberError(self.weighting.build(context), self.delta)


class AbsoluteError(WeightedError):
    """Mean of weight[f] * |residual[f]|."""

    def errors(self, residual: Tensor) -> Tensor:
        """Returns the absolute values."""
        return residual.abs()


class HuberError(WeightedError):
    """Mean of weight[f] * huber(residual[f])."""

    def __init__(self, weights: FeatureWeights, delta: float) -> None:
        super().__init__(weights)
        self.delta = delta

    def errors(self, residual: Tensor) -> Tensor:
        """Returns Huber's function of each entry."""
        return fn.huber_loss(residual, torch.zeros_like(residual), reduction="none", delta=self.delta)
