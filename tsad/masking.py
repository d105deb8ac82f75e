"""Masks: which entries of a training window the model does not get to see."""

from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from tsad.spec import Spec


class Mask(Protocol):
    """What every mask does."""

    def draw(self, shape: torch.Size, generator: Generator) -> Tensor | None:
        """Returns (B, L, F) bool on the CPU, True where an entry is hidden, or None if nothing ever is."""


class NoMask(Spec):
    """Nothing is hidden."""

    kind: Literal["none"] = "none"

    def draw(self, shape: torch.Size, generator: Generator) -> Tensor | None:
        """Returns None."""
        return None


class GeometricMask(Spec):
    """Hidden runs whose length is geometric, as a two-state Markov chain along time (Zerveas et al. 2021, section 3.2).

    The chain leaves "hidden" with probability 1 / mean_length and "visible" with ratio / (1 - ratio) / mean_length, so
    that a hidden run is mean_length steps long on average and the stated ratio of all entries is hidden.

    Attributes:
        ratio: Expected share of hidden entries.
        mean_length: Mean length of a hidden run, in steps.
        across_features: Hide all features of a step together instead of each feature on its own.
    """

    kind: Literal["geometric"]
    ratio: float = Field(0.15, gt=0, lt=1)
    mean_length: float = Field(3.0, ge=1)
    across_features: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> "GeometricMask":
        if self.ratio / (1 - self.ratio) > self.mean_length:
            raise ValueError(
                f"a hidden ratio needs mean_length of at least ratio / (1 - ratio), but got ratio={self.ratio} and "
                f"mean_length={self.mean_length}; hide less or in longer runs"
            )
        return self

    def draw(self, shape: torch.Size, generator: Generator) -> Tensor | None:
        """Returns (B, L, F) bool, True where an entry is hidden."""
        windows, length, features = shape
        chains = 1 if self.across_features else features
        chance = torch.rand(windows, length, chains, generator=generator)
        leave_hidden = 1 / self.mean_length
        leave_visible = leave_hidden * self.ratio / (1 - self.ratio)
        hidden = torch.empty(windows, length, chains, dtype=torch.bool)
        state = chance[:, 0] < self.ratio
        hidden[:, 0] = state
        for step in range(1, length):
            state = torch.where(state, chance[:, step] >= leave_hidden, chance[:, step] < leave_visible)
            hidden[:, step] = state
        return hidden.expand(shape)


MaskSpec = Annotated[NoMask | GeometricMask, Field(discriminator="kind")]
"""Every mask that a YAML can name."""
