"""Optimizers, and how the learning rate moves from epoch to epoch."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from tsad.spec import Spec


class AdamSpec(Spec):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of these parameters."""
        return torch.optim.Adam(parameters, lr=learning_rate)


class AdamWSpec(Spec):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Attributes:
        weight_decay: Share of a weight that a step takes off, times the learning rate.
    """

    kind: Literal["adamw"]
    weight_decay: float = Field(0.01, ge=0)

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of these parameters."""
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=self.weight_decay)


OptimizerSpec = Annotated[AdamSpec | AdamWSpec, Field(discriminator="kind")]
"""Every optimizer that a YAML can name."""


class ConstantRate(Spec):
    """The same learning rate throughout."""

    kind: Literal["constant"] = "constant"

    def factor(self, epoch: int, epochs: int) -> float:
        """Returns 1."""
        return 1.0


class CosineRate(Spec):
    """Half a cosine from the learning rate down to a share of it (Loshchilov and Hutter 2017, without restarts).

    Attributes:
        warmup: Epochs at the start in which the rate climbs in equal steps.
        floor: Share of the learning rate that the last epoch has.
    """

    kind: Literal["cosine"]
    warmup: int = Field(0, ge=0)
    floor: float = Field(0.01, ge=0, le=1)

    def factor(self, epoch: int, epochs: int) -> float:
        """Returns the share of the learning rate in an epoch from 1 to `epochs`."""
        if epoch <= self.warmup:
            return epoch / (self.warmup + 1)
        progress = (epoch - self.warmup - 1) / max(1, epochs - self.warmup - 1)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


class StepRate(Spec):
    """The learning rate times `ratio` after every `every` epochs.

    Attributes:
        every: Epochs between two steps.
        ratio: What remains of the rate after a step.
    """

    kind: Literal["step"]
    every: int = Field(10, ge=1)
    ratio: float = Field(0.5, gt=0, le=1)

    def factor(self, epoch: int, epochs: int) -> float:
        """Returns the share of the learning rate in an epoch from 1 to `epochs`."""
        return float(self.ratio ** ((epoch - 1) // self.every))


RateSpec = Annotated[ConstantRate | CosineRate | StepRate, Field(discriminator="kind")]
"""Every schedule of the learning rate that a YAML can name."""
