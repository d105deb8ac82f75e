"""Encoder-decoder transformer with a latent to contrast and a generator to fool a critic with.

Reconstruction, contrast of masked views and an adversary in one network follow the idea of TranAD (Tuli et al. 2022)
and of contrastive reconstruction; the network itself is ours. The critic is no part of it: it belongs to the loss term
`adversarial`, is thrown away after training, and plays against any other model as well.
"""

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tsad.models.contract import Model, Prediction
from tsad.models.layers import AttentionBlock, Stem, require_even_heads, sinusoidal_positions
from tsad.spec import Spec


class AdversarialTransformerSpec(Spec):
    """Sizes of an `AdversarialTransformer`.

    Attributes:
        width: Number of channels of a step inside the network; a multiple of `heads`.
        heads: Parallel attentions.
        depth: Attention blocks of the encoder and of the decoder, each.
        latent: Size of the mean-pooled latent.
        memory: Numbers of each encoded step that the decoder may attend to: the bottleneck.
        embedding: Size of the projection that a contrastive term compares, D.
        noise: Size of the noise that the residual generator gets in training; in use it gets zeros.
        dropout: Dropout of attention weights and of the output of each layer.
    """

    kind: Literal["adversarial_transformer"]
    width: int = Field(64, ge=2)
    heads: int = Field(4, ge=1)
    depth: int = Field(2, ge=1, le=12)
    latent: int = Field(16, ge=1)
    memory: int = Field(2, ge=1)
    embedding: int = Field(32, ge=1)
    noise: int = Field(8, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _even(self) -> "AdversarialTransformerSpec":
        require_even_heads(self.width, self.heads)
        return self

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows."""
        return AdversarialTransformer(self, features, length)


class AdversarialTransformer(Model):
    """Reconstruction by the decoder, corrected by a generator that knows only the latent and noise.

    The decoder's steps start from the latent and their positions and read the encoded steps through a narrow memory.
    The embedding is a projection of the latent (Chen et al. 2020: what is contrasted is not what is used).
    """

    positions: Tensor

    def __init__(self, spec: AdversarialTransformerSpec, features: int, length: int) -> None:
        super().__init__(steps=length)
        width = spec.width
        blocks = range(spec.depth)
        self.stem = Stem("linear", features, length, width)
        self.encoder = nn.Sequential(
            *(AttentionBlock(width, spec.heads, dropout=spec.dropout) for _ in blocks), nn.LayerNorm(width)
        )
        self.pool = nn.Linear(width, spec.latent)
        self.project = nn.Sequential(nn.Linear(spec.latent, width), nn.GELU(), nn.Linear(width, spec.embedding))
        self.narrow = nn.Linear(width, spec.memory)
        self.widen = nn.Linear(spec.memory, width)
        self.start = nn.Linear(spec.latent, width)
        self.decoder = nn.ModuleList(
            AttentionBlock(width, spec.heads, dropout=spec.dropout, reads_memory=True) for _ in blocks
        )
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, features))
        self.generator = _ResidualGenerator(spec, features)
        self.register_buffer("positions", sinusoidal_positions(length, width), persistent=False)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the corrected reconstruction of all L steps and the (B, D) projection of the latent."""
        encoded = self.encoder(self.stem(windows))
        latent = self.pool(encoded.mean(dim=1))  # (B, latent)
        memory = self.widen(self.narrow(encoded)) + self.positions
        steps = self.start(latent).unsqueeze(1) + self.positions
        for block in self.decoder:
            steps = block(steps, memory)
        values = self.output(steps) + self.generator(latent, self.positions)
        return Prediction(values, self.project(latent))


class _ResidualGenerator(nn.Module):
    """From latent, noise and position to a correction of each step (the generator of Goodfellow et al. 2014)."""

    def __init__(self, spec: AdversarialTransformerSpec, features: int) -> None:
        super().__init__()
        self.noise = spec.noise
        self.enter = nn.Linear(spec.latent + spec.noise, spec.width)
        self.leave = nn.Sequential(
            nn.GELU(), nn.Linear(spec.width, spec.width), nn.GELU(), nn.Linear(spec.width, features)
        )

    def forward(self, latent: Tensor, positions: Tensor) -> Tensor:
        """Returns (B, L, F) for (B, latent) and (L, width); noise is drawn in training and zero in use."""
        shape = (len(latent), self.noise)
        noise = torch.randn(shape, device=latent.device) if self.training else torch.zeros(shape, device=latent.device)
        steps = self.enter(torch.cat([latent, noise.to(latent.dtype)], dim=1)).unsqueeze(1) + positions  # (B, L, width)
        correction: Tensor = self.leave(steps)
        return correction
