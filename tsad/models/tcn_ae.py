"""Temporal convolutional autoencoder (Thill et al. 2021, TCN-AE)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from tsad.models.contract import Model, Prediction
from tsad.models.layers import StepPooling, residual_stack
from tsad.spec import Spec


class TcnAutoencoderSpec(Spec):
    """Sizes of a `TcnAutoencoder`.

    Attributes:
        channels: Width of the convolutions.
        latent: Channels of the bottleneck.
        depth: Residual blocks of the encoder and of the decoder, each; block i is dilated 2^i.
        kernel: Taps of a convolution, odd.
        pooling: Steps that share one bottleneck vector; L or more makes one vector of the whole window.
        dropout: After each convolution.
    """

    kind: Literal["tcn_ae"]
    channels: int = Field(32, ge=1)
    latent: int = Field(4, ge=1)
    depth: int = Field(3, ge=1, le=12)
    kernel: Literal[3, 5, 7, 9] = 3
    pooling: int = Field(4, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows."""
        return TcnAutoencoder(self, features, length)


class TcnAutoencoder(Model):
    """Dilated residual convolutions, pooled in time to a narrow bottleneck, then spread and convolved back.

    The convolutions look both ways: a window is predicted as a whole, from its own rows alone.
    """

    def __init__(self, spec: TcnAutoencoderSpec, features: int, length: int) -> None:
        super().__init__(steps=length)
        self.pooling = StepPooling(spec.pooling)
        self.encoder = _stack(features, spec)
        self.squeeze = nn.Conv1d(spec.channels, spec.latent, 1)
        self.decoder = _stack(spec.latent, spec)
        self.output = nn.Conv1d(spec.channels, features, 1)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the reconstruction of all L steps and the bottleneck averaged over time."""
        narrow = self.squeeze(self.encoder(windows.transpose(1, 2)))  # (B, D, L)
        pooled = self.pooling(narrow.transpose(1, 2))  # (B, ceil(L / pooling), D)
        spread = self.pooling.spread(pooled, windows.shape[1]).transpose(1, 2)  # (B, D, L)
        values = self.output(self.decoder(spread)).transpose(1, 2)  # (B, L, F)
        return Prediction(values, pooled.mean(dim=1))


def _stack(inputs: int, spec: TcnAutoencoderSpec) -> nn.Sequential:
    return residual_stack(inputs, spec.channels, depth=spec.depth, kernel=spec.kernel, dropout=spec.dropout)
