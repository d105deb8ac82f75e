"""LSTM autoencoder (Malhotra et al. 2016, EncDec-AD), with a latent vector between the two networks."""

from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from tsad.models.contract import Model, Prediction
from tsad.spec import Spec


class LstmAutoencoderSpec(Spec):
    """Sizes of an `LstmAutoencoder`.

    Attributes:
        cell: `lstm`, or `gru` (Cho et al. 2014), which has a quarter fewer weights.
        hidden: Width of the recurrent layers.
        latent: Size of the vector that a window is squeezed into, D.
        layers: Recurrent layers of the encoder and of the decoder, each.
        dropout: Between recurrent layers. One layer has none, so it becomes 0: equal trainings are equal experiments.
    """

    kind: Literal["lstm_ae"]
    cell: Literal["lstm", "gru"] = "lstm"
    hidden: int = Field(64, ge=1)
    latent: int = Field(16, ge=1)
    layers: int = Field(1, ge=1, le=8)
    dropout: float = Field(0.0, ge=0, lt=1)

    @field_validator("dropout")
    @classmethod
    def _between_layers(cls, dropout: float, info: ValidationInfo) -> float:
        return 0.0 if info.data.get("layers") == 1 else dropout

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows."""
        return LstmAutoencoder(self, features, length)


class LstmAutoencoder(Model):
    """The encoder's last state becomes the latent vector; the decoder gets that vector at every step.

    Departure from the source: the decoder runs forward in time and is not fed its own output, so that an error at one
    step does not reach the others and the whole window decodes in one call.
    """

    def __init__(self, spec: LstmAutoencoderSpec, features: int, length: int) -> None:
        super().__init__(steps=length)
        cell = nn.LSTM if spec.cell == "lstm" else nn.GRU
        self.encoder = cell(features, spec.hidden, spec.layers, batch_first=True, dropout=spec.dropout)
        self.squeeze = nn.Linear(spec.hidden, spec.latent)
        self.decoder = cell(spec.latent, spec.hidden, spec.layers, batch_first=True, dropout=spec.dropout)
        self.output = nn.Linear(spec.hidden, features)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the reconstruction of all L steps and the latent vector."""
        states, _ = self.encoder(windows)
        latent = self.squeeze(states[:, -1])  # (B, D)
        repeated = latent.unsqueeze(1).expand(-1, windows.shape[1], -1)  # (B, L, D)
        decoded, _ = self.decoder(torch.tanh(repeated))
        return Prediction(self.output(decoded), latent)
