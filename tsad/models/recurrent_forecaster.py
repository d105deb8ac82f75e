"""Recurrent forecaster (Malhotra et al. 2015, LSTM-AD): what the last step of a window should have been."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from tsad.models.contract import Estimate, Model
from tsad.spec import Spec


class RecurrentForecasterSpec(Spec):
    """Sizes of a `RecurrentForecaster`.

    Attributes:
        cell: `lstm` or `gru`.
        layers: Recurrent layers.
        hidden: Width of a layer.
        dropout: Between layers and before the output.
    """

    kind: Literal["recurrent_forecaster"]
    cell: Literal["lstm", "gru"] = "lstm"
    layers: int = Field(1, ge=1, le=3)
    hidden: int = Field(64, ge=32, le=256)
    dropout: float = Field(0.0, ge=0, le=0.3)

    def build(self, features: int, length: int) -> Model:
        """Returns an untrained network for (B, L, F) windows; raises ValueError if L leaves nothing to forecast from."""
        return RecurrentForecaster(self, features, length)


class RecurrentForecaster(Model):
    """Reads the first L - 1 steps and forecasts the last one; the network never gets the step that it estimates.

    Departure from the source: one step ahead instead of several, so that a row has one forecast, and no Gaussian fitted
    to the errors: scoring and threshold are the same for all models.
    """

    def __init__(self, spec: RecurrentForecasterSpec, features: int, length: int) -> None:
        if length < 2:
            raise ValueError(
                f"a forecaster needs a row to forecast from, but got window length={length}; take 2 or more rows"
            )
        super().__init__(steps=1)
        cell = nn.LSTM if spec.cell == "lstm" else nn.GRU
        between = spec.dropout if spec.layers > 1 else 0.0
        self.past = cell(features, spec.hidden, spec.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(spec.hidden, features)

    def forward(self, windows: Tensor) -> Estimate:
        """Returns the (B, 1, F) forecast of the last step and the state that it was made from."""
        states, _ = self.past(windows[:, :-1])
        state = states[:, -1]  # (B, hidden)
        return Estimate(self.output(self.dropout(state)).unsqueeze(1), state)
