"""Transformer autoencoder: attention over the steps of a window, through a bottleneck that is narrow in time and width."""

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from tsad.models.contract import Model, Prediction
from tsad.models.layers import AttentionBlock, Stem, StepPooling, require_even_heads, sinusoidal_positions
from tsad.spec import Spec


class TransformerAutoencoderSpec(Spec):
    """Sizes of a `TransformerAutoencoder`.

    Attributes:
        width: Number of channels of a step inside the network; a multiple of `heads`.
        heads: Parallel attentions.
        depth: Attention blocks of the encoder and of the decoder, each.
        latent: Channels of the bottleneck.
        pooling: Steps that share one bottleneck vector.
        stem: How rows come in: `linear`, or `tcn`, dilated convolutions.
        scales: Scales of multi-scale attention: heads see keys and values at 1, 2, 4, ... steps; 1 is plain attention.
        dropout: Dropout of attention weights and of the output of each layer.
    """

    kind: Literal["transformer_ae"]
    width: int = Field(64, ge=2)
    heads: int = Field(4, ge=1)
    depth: int = Field(2, ge=1, le=12)
    latent: int = Field(4, ge=1)
    pooling: int = Field(4, ge=1)
    stem: Literal["linear", "tcn"] = "linear"
    scales: int = Field(1, ge=1, le=6)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _even(self) -> "TransformerAutoencoderSpec":
        require_even_heads(self.width, self.heads, self.scales)
        return self

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows."""
        return TransformerAutoencoder(self, features, length)


class TransformerAutoencoder(Model):
    """Encoder blocks, a bottleneck, decoder blocks; all steps at once (encoder layers of Vaswani et al. 2017).

    Without the bottleneck attention copies its input and nothing is strange to it: every `pooling` steps become one
    vector of `latent` numbers, which the decoder spreads over its steps, tells apart by position, and refines.
    """

    positions: Tensor

    def __init__(self, spec: TransformerAutoencoderSpec, features: int, length: int) -> None:
        super().__init__(steps=length)
        self.stem = Stem(spec.stem, features, length, spec.width)
        self.encoder = _blocks(spec)
        self.squeeze = nn.Sequential(nn.LayerNorm(spec.width), nn.Linear(spec.width, spec.latent))
        self.pooling = StepPooling(spec.pooling)
        self.expand = nn.Linear(spec.latent, spec.width)
        self.decoder = _blocks(spec)
        self.output = nn.Sequential(nn.LayerNorm(spec.width), nn.Linear(spec.width, features))
        self.register_buffer("positions", sinusoidal_positions(length, spec.width), persistent=False)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the reconstruction of all L steps and the bottleneck averaged over time."""
        narrow = self.pooling(self.squeeze(self.encoder(self.stem(windows))))  # (B, ceil(L / pooling), D)
        spread = self.pooling.spread(narrow, windows.shape[1])  # (B, L, D)
        steps = self.decoder(self.expand(spread) + self.positions)
        return Prediction(self.output(steps), narrow.mean(dim=1))


def _blocks(spec: TransformerAutoencoderSpec) -> nn.Sequential:
    return nn.Sequential(
        *(AttentionBlock(spec.width, spec.heads, scales=spec.scales, dropout=spec.dropout) for _ in range(spec.depth))
    )
