"""Range deviation: how far a value lies outside the range of the training rows."""

from typing import Literal

import torch
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


class RangeDeviationSpec(Spec):
    """A row moved into the range of the training rows as the prediction of itself; within the range nothing is strange."""

    kind: Literal["range_deviation"]

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model for F features."""
        return RangeDeviation(features)


class RangeDeviation(ClosedFormModel):
    """Predicts the last step by its nearest point between the lowest and highest training values."""

    lowest: Tensor
    highest: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(steps=1)
        self.register_buffer("lowest", torch.zeros(features))
        self.register_buffer("highest", torch.zeros(features))

    def fit(self, windows: Windows) -> None:
        """Sets the range of the windows' last rows."""
        rows = windows.rows[windows.ends]
        self.lowest.copy_(rows.amin(dim=0))
        self.highest.copy_(rows.amax(dim=0))

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, 1, F)."""
        return Prediction(windows[:, -1:].clamp(self.lowest, self.highest))
