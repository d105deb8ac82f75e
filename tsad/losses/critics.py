"""Critics: networks that tell true windows from predicted ones."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from tsad.spec import Spec


class ConvolutionCriticSpec(Spec):
    """Three 1-D convolutions on the sequence, then the mean over time.

    Attributes:
        channels: Number of channels of the first convolution; the second has twice as many, the third one.
        kernel: Taps, odd.
    """

    kind: Literal["convolution"] = "convolution"
    channels: int = Field(32, ge=1)
    kernel: Literal[3, 5, 7] = 3

    def build(self, features: int) -> nn.Module:
        """Returns an untrained critic of (B, H, F) sequences."""
        return ConvolutionCritic(self, features)


class PooledCriticSpec(Spec):
    """A two-layer perceptron on the mean of the sequence over time.

    Attributes:
        hidden: Width of the hidden layer.
    """

    kind: Literal["pooled"]
    hidden: int = Field(64, ge=1)

    def build(self, features: int) -> nn.Module:
        """Returns an untrained critic of (B, H, F) sequences."""
        return PooledCritic(self, features)


class ConvolutionCritic(nn.Module):
    """Judges every step by its surroundings and averages the logits (a patch critic, Isola et al. 2017)."""

    def __init__(self, spec: ConvolutionCriticSpec, features: int) -> None:
        super().__init__()
        padding = spec.kernel // 2
        self.layers = nn.Sequential(
            nn.Conv1d(features, spec.channels, spec.kernel, padding=padding),
            nn.LeakyReLU(0.2),
            nn.Conv1d(spec.channels, 2 * spec.channels, spec.kernel, padding=padding),
            nn.LeakyReLU(0.2),
            nn.Conv1d(2 * spec.channels, 1, spec.kernel, padding=padding),
        )

    def forward(self, sequences: Tensor) -> Tensor:
        """Returns (B,) logits, high where a (B, H, F) sequence is held to be true."""
        logits: Tensor = self.layers(sequences.transpose(1, 2)).mean(dim=(1, 2))
        return logits


class PooledCritic(nn.Module):
    """Judges the mean row of a sequence."""

    def __init__(self, spec: PooledCriticSpec, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, spec.hidden), nn.LeakyReLU(0.2), nn.Linear(spec.hidden, 1))

    def forward(self, sequences: Tensor) -> Tensor:
        """Returns (B,) logits, high where a (B, H, F) sequence is held to be true."""
        logits: Tensor = self.layers(sequences.mean(dim=1)).squeeze(1)
        return logits


CriticSpec = Annotated[ConvolutionCriticSpec | PooledCriticSpec, Field(discriminator="kind")]
"""Every critic that a YAML can name."""
