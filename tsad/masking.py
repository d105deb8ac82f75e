"""Masks: which entries of a training window the model does not get to see, and what it sees in their place."""

from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from tsad.spec import Spec

Fill = Literal["zero", "mean", "noise"]
"""Fill of hidden entries: 0, which is the training mean after standard scaling; the mean of the feature's visible
entries in the window; or normal noise with the mean and deviation of those entries. A feature without a visible entry in
the window counts as mean 0 and deviation 0."""


class Mask(Protocol):
    """Interface of every mask."""

    @property
    def fill(self) -> Fill:
        """Fill of hidden entries."""

    def draw(self, shape: torch.Size, generator: Generator, progress: float = 1.0) -> Tensor | None:
        """Returns (B, L, F) bool on the CPU, True where an entry is hidden, or None if nothing ever is.

        Args:
            shape: Shape of the windows, (B, L, F).
            generator: CPU generator that draws the hidden entries.
            progress: Progress of training, from 0 in the first epoch to 1 in the last; moves a scheduled ratio.
        """


class ConstantRatio(Spec):
    """The same ratio throughout."""

    kind: Literal["constant"] = "constant"

    def at(self, ratio: float, progress: float) -> float:
        """Returns `ratio`."""
        return ratio


class LinearRatio(Spec):
    """From `start` in the first epoch to the mask's ratio in the last, in equal steps.

    Attributes:
        start: First hidden ratio; below the mask's ratio the task grows harder, above it easier.
    """

    kind: Literal["linear"]
    start: float = Field(0.0, ge=0, lt=1)

    def at(self, ratio: float, progress: float) -> float:
        """Returns the ratio at a progress from 0 to 1."""
        return self.start + (ratio - self.start) * progress


RatioSchedule = Annotated[ConstantRatio | LinearRatio, Field(discriminator="kind")]
"""Every way in which a hidden ratio can change in training."""


class NoMask(Spec):
    """Nothing is hidden."""

    kind: Literal["none"] = "none"

    @property
    def fill(self) -> Fill:
        """Fill that no entry gets, since nothing is hidden."""
        return "zero"

    def draw(self, shape: torch.Size, generator: Generator, progress: float = 1.0) -> Tensor | None:
        """Returns None."""
        return None


class RandomMask(Spec):
    """Every entry is hidden by a coin of its own.

    Attributes:
        ratio: Expected share of hidden entries.
        across_features: Hide all features of a step together instead of each feature on its own.
        fill: Value that hidden entries get.
        schedule: Change of the ratio over training.
    """

    kind: Literal["random"]
    ratio: float = Field(0.15, gt=0, lt=1)
    across_features: bool = False
    fill: Fill = "zero"
    schedule: RatioSchedule = ConstantRatio()

    def draw(self, shape: torch.Size, generator: Generator, progress: float = 1.0) -> Tensor | None:
        """Returns (B, L, F) bool, True where an entry is hidden."""
        windows, length, features = shape
        chance = torch.rand(windows, length, 1 if self.across_features else features, generator=generator)
        return (chance < self.schedule.at(self.ratio, progress)).expand(shape)


class GeometricMask(Spec):
    """Hidden runs whose length is geometric, as a two-state Markov chain along time (Zerveas et al. 2021, section 3.2).

    The chain leaves "hidden" with probability 1 / mean_length and "visible" with ratio / (1 - ratio) / mean_length, so
    that a hidden run is mean_length steps long on average and the stated ratio of all entries is hidden.

    Attributes:
        ratio: Expected share of hidden entries.
        mean_length: Mean length of a hidden run, in steps.
        across_features: Hide all features of a step together instead of each feature on its own.
        fill: Value that hidden entries get.
        schedule: Change of the ratio over training; the mean length stays.
    """

    kind: Literal["geometric"]
    ratio: float = Field(0.15, gt=0, lt=1)
    mean_length: float = Field(3.0, ge=1)
    across_features: bool = False
    fill: Fill = "zero"
    schedule: RatioSchedule = ConstantRatio()

    @model_validator(mode="after")
    def _reachable(self) -> "GeometricMask":
        highest = max(self.ratio, self.schedule.at(self.ratio, 0.0))
        if highest / (1 - highest) > self.mean_length:
            raise ValueError(
                f"a hidden ratio needs mean_length of at least ratio / (1 - ratio), but got ratio={highest} and "
                f"mean_length={self.mean_length}; hide less or in longer runs"
            )
        return self

    def draw(self, shape: torch.Size, generator: Generator, progress: float = 1.0) -> Tensor | None:
        """Returns (B, L, F) bool, True where an entry is hidden."""
        windows, length, features = shape
        chains = 1 if self.across_features else features
        ratio = self.schedule.at(self.ratio, progress)
        chance = torch.rand(windows, length, chains, generator=generator)
        leave_hidden = 1 / self.mean_length
        leave_visible = leave_hidden * ratio / (1 - ratio)
        hidden = torch.empty(windows, length, chains, dtype=torch.bool)
        state = chance[:, 0] < ratio
        hidden[:, 0] = state
        for step in range(1, length):
            state = torch.where(state, chance[:, step] >= leave_hidden, chance[:, step] < leave_visible)
            hidden[:, step] = state
        return hidden.expand(shape)


class BlockMask(Spec):
    """Hidden blocks of one length at random positions, ratio * L / length of them, rounded, and at least one.

    In a window shorter than two blocks, a block is half the window, so that something can stay visible.

    Attributes:
        ratio: Share of hidden entries; 0 of a schedule hides nothing.
        length: Number of steps in a block.
        across_features: Hide all features of a step together instead of each feature on its own.
        overlap: Whether blocks may lie on each other, which hides less than `ratio`; otherwise they are disjoint.
        fill: Value that hidden entries get.
        schedule: Change of the ratio over training.
    """

    kind: Literal["block"]
    ratio: float = Field(0.15, gt=0, lt=1)
    length: int = Field(5, ge=1)
    across_features: bool = False
    overlap: bool = False
    fill: Fill = "zero"
    schedule: RatioSchedule = ConstantRatio()

    def draw(self, shape: torch.Size, generator: Generator, progress: float = 1.0) -> Tensor | None:
        """Returns (B, L, F) bool, True where an entry is hidden."""
        windows, length, features = shape
        chains = 1 if self.across_features else features
        ratio = self.schedule.at(self.ratio, progress)
        block = min(self.length, max(1, length // 2))
        blocks = min(max(1, round(ratio * length / block)), length // block) if ratio > 0 else 0
        positions = length - block + 1 if self.overlap else length - blocks * (block - 1)
        if self.overlap:
            starts = torch.randint(positions, (windows, blocks, chains), generator=generator)
        else:  # positions of blocks shrunk to one step each, without repetition; the shrunk steps are put back in order
            chance = torch.rand(windows, positions, chains, generator=generator)
            starts = chance.argsort(dim=1)[:, :blocks].sort(dim=1).values
            starts = starts + torch.arange(blocks)[:, None] * (block - 1)
        steps = (starts.unsqueeze(2) + torch.arange(block)[:, None]).flatten(1, 2)  # (B, blocks * block, chains)
        hidden = torch.zeros(windows, length, chains, dtype=torch.bool).scatter_(1, steps, value=True)
        return hidden.expand(shape)


MaskSpec = Annotated[NoMask | RandomMask | GeometricMask | BlockMask, Field(discriminator="kind")]
"""Every mask that a YAML can name."""


def hide(mask: Mask, windows: Tensor, generator: Generator, progress: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """Returns (B, L, F) windows with hidden entries filled, and where these are (None if nothing ever is).

    Draws on the CPU wherever the windows are, so that every device meets the same masks. What is filled in depends on
    visible entries alone.
    """
    hidden = mask.draw(windows.shape, generator, progress)
    if hidden is None:
        return windows, None
    hidden = hidden.to(windows.device)
    if mask.fill == "zero":
        return windows.masked_fill(hidden, 0.0), hidden
    visible = ~hidden
    count = visible.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1, F)
    mean = (windows * visible).sum(dim=1, keepdim=True) / count
    if mask.fill == "mean":
        return torch.where(hidden, mean, windows), hidden
    deviation = (((windows - mean) * visible).square().sum(dim=1, keepdim=True) / count).sqrt()
    noise = torch.randn(windows.shape, generator=generator).to(windows.device)
    return torch.where(hidden, mean + deviation * noise, windows), hidden
