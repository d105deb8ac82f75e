"""Temporal convolutional autoencoder (Thill et al. 2021, TCN-AE)."""

from typing import Literal

import torch.nn.functional as fn
from pydantic import Field
from torch import Tensor, nn

from tsad.models.contract import Estimate, Model
from tsad.spec import Spec


class TcnAutoencoderSpec(Spec):
    """Sizes of a `TcnAutoencoder`.

    Attributes:
        channels: Width of the convolutions.
        latent: Channels of the bottleneck.
        depth: Residual blocks of the encoder and of the decoder, each; block i is dilated 2^i.
        kernel: Taps of a convolution, odd.
        pooling: Steps that share one bottleneck vector.
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

    The convolutions look both ways: a window is estimated as a whole, from its own rows alone.
    """

    def __init__(self, spec: TcnAutoencoderSpec, features: int, length: int) -> None:
        super().__init__(steps=length)
        self.pooling = spec.pooling
        self.encoder = _stack(features, spec)
        self.squeeze = nn.Conv1d(spec.channels, spec.latent, 1)
        self.decoder = _stack(spec.latent, spec)
        self.output = nn.Conv1d(spec.channels, features, 1)

    def forward(self, windows: Tensor) -> Estimate:
        """Returns the reconstruction of all L steps and the bottleneck averaged over time."""
        length = windows.shape[1]
        narrow = self.squeeze(self.encoder(windows.transpose(1, 2)))  # (B, D, L)
        pooled = fn.avg_pool1d(narrow, self.pooling, ceil_mode=True)  # (B, D, ceil(L / pooling))
        spread = fn.interpolate(pooled, scale_factor=self.pooling, mode="nearest")[:, :, :length]
        values = self.output(self.decoder(spread)).transpose(1, 2)  # (B, L, F)
        return Estimate(values, pooled.mean(dim=2))


class _Residual(nn.Module):
    """Two dilated convolutions beside a shortcut."""

    def __init__(self, inputs: int, spec: TcnAutoencoderSpec, dilation: int) -> None:
        super().__init__()
        padding = dilation * (spec.kernel - 1) // 2
        self.first = nn.Conv1d(inputs, spec.channels, spec.kernel, padding=padding, dilation=dilation)
        self.second = nn.Conv1d(spec.channels, spec.channels, spec.kernel, padding=padding, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, spec.channels, 1) if inputs != spec.channels else nn.Identity()
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, signal: Tensor) -> Tensor:
        """Returns (B, channels, L) for (B, inputs, L)."""
        inner = self.dropout(fn.relu(self.first(signal)))
        inner = self.dropout(fn.relu(self.second(inner)))
        shortcut: Tensor = self.shortcut(signal)
        return fn.relu(inner + shortcut)


def _stack(inputs: int, spec: TcnAutoencoderSpec) -> nn.Sequential:
    widths = [inputs] + [spec.channels] * (spec.depth - 1)
    return nn.Sequential(*(_Residual(width, spec, 2**place) for place, width in enumerate(widths)))
