"""Weights of the features in an error term: all the same, or by its own running error."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tsad.losses.contract import TrainingContext
from tsad.spec import Spec


class FeatureWeights(nn.Module):
    """Weights of features, above 0, with mean 1."""

    @abstractmethod
    def forward(self, residual: Tensor) -> Tensor:
        """Returns the (F,) weights for a (B, H, F) residual, from which they may learn in training mode."""

    def __call__(self, residual: Tensor) -> Tensor:
        """Returns the (F,) weights (typed, where `nn.Module` says Any)."""
        weights: Tensor = super().__call__(residual)
        return weights


class EqualWeighting(Spec):
    """Every feature counts the same."""

    reads_labels: ClassVar[bool] = False
    kind: Literal["equal"] = "equal"

    def build(self, context: TrainingContext) -> FeatureWeights:
        """Returns weights of 1."""
        return FixedWeights(torch.ones(1))


class FeatureScaledWeighting(Spec):
    """Weights in proportion to 1 / running mean squared error of the feature, updated through training.

    A feature that is hard to predict then does not outweigh those that are easy (homoscedastic weighting, Kendall et
    al. 2018, with the variance measured instead of learned).

    Attributes:
        decay: Factor of the running mean from batch to batch.
        floor: Lowest mean squared error that counts, as a share of the mean over features: a feature that is predicted
            perfectly, such as a constant one, would otherwise take all the weight.
    """

    reads_labels: ClassVar[bool] = False
    kind: Literal["feature_scaled"]
    decay: float = Field(0.99, ge=0, lt=1)
    floor: float = Field(0.01, gt=0, le=1)

    def build(self, context: TrainingContext) -> FeatureWeights:
        """Returns weights that are 1 until the first training batch."""
        return RunningWeights(self, context.rows.shape[1])


class FixedWeights(FeatureWeights):
    """Weights that were known before training."""

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, residual: Tensor) -> Tensor:
        """Returns the (F,) weights."""
        return self.weights


class RunningWeights(FeatureWeights):
    """Weights by running mean squared error; a batch is counted before it is weighted.

    The running mean is corrected for its start at 0 as Adam's moments are (Kingma and Ba 2015), which cancels here,
    since only ratios of errors matter.
    """

    error: Tensor

    def __init__(self, spec: FeatureScaledWeighting, features: int) -> None:
        super().__init__()
        self.decay, self.floor = spec.decay, spec.floor
        self.register_buffer("error", torch.zeros(features))

    def forward(self, residual: Tensor) -> Tensor:
        """Returns the (F,) weights, mean 1; ones as long as no residual was seen or none differs from 0."""
        if self.training:
            current = residual.detach().float().square().mean(dim=(0, 1))
            self.error.mul_(self.decay).add_(current, alpha=1 - self.decay)
        mean = self.error.mean()
        inverse = 1 / torch.maximum(self.error, self.floor * mean).clamp(min=torch.finfo(torch.float32).tiny)
        return torch.where(mean > 0, inverse / inverse.mean(), torch.ones_like(inverse))
