"""L2 of z-scores: how far a row is from the mean of the training rows."""

from typing import Literal

import torch
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


class L2Spec(Spec):
    """The mean of the training rows as the prediction of every row; with standard scaling, the residual is the z-score."""

    kind: Literal["l2"]

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model for F features."""
        return L2(features)


class L2(ClosedFormModel):
    """Predicts the last step of a window by the mean training row."""

    mean: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(steps=1)
        self.register_buffer("mean", torch.zeros(features))

    def fit(self, windows: Windows) -> None:
        """Sets the mean of the windows' last rows."""
        self.mean.copy_(windows.rows[windows.ends].double().mean(dim=0))

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, 1, F), the same for every window."""
        return Prediction(self.mean.expand(len(windows), 1, -1))
