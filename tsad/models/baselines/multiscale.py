"""The linear autoencoder at several time scales at once."""

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tsad.models.baselines.principal import PrincipalModel
from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows

_ROWS = 3
"""Rows over which the error of single rows is averaged."""


class MultiscaleLinearSpec(Spec):
    """Root errors of linear autoencoders of the window, its last half, its last quarter, ..., and of single rows, averaged.

    Short scales find spikes and long ones find changes of shape. Each scale is divided by its mean on the training windows,
    so that none rules, and the root of a feature's error keeps one wild feature from ruling the others. It is closed form
    and its anomaly score names features. Score it with `error: absolute, over: last`: the anomaly score is the score.

    Attributes:
        halvings: How often the window is halved; 2 gives the scales L, L/2, L/4 and 1.
        components: Axes kept of each window, at most its L * F values.
        row_components: Axes kept of single rows.
    """

    kind: Literal["multiscale_linear"]
    halvings: int = Field(2, ge=0)
    components: int = Field(8, ge=1)
    row_components: int = Field(2, ge=1)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model; a scale has no more axes than values."""
        lengths = sorted({1, *(max(1, length >> halving) for halving in range(self.halvings + 1))})
        scales = [
            PrincipalModel(
                steps, features, min(self.row_components if steps == 1 else self.components, steps * features)
            )
            for steps in lengths
        ]
        return MultiscaleLinear(scales)


class MultiscaleLinear(ClosedFormModel):
    """The anomaly score on the last row, feature by feature: the mean over scales of root error / mean root error in training.

    Attributes:
        scales: One linear autoencoder each, the shortest first.
        usual: (S,) mean root error of each on the training windows.
    """

    usual: Tensor

    def __init__(self, scales: list[PrincipalModel]) -> None:
        super().__init__(steps=1)
        self.scales = nn.ModuleList(scales)
        self.register_buffer("usual", torch.ones(len(scales), dtype=torch.float64))

    def fit(self, windows: Windows) -> None:
        """Fits each scale to the ends of the windows, then measures its usual error on them."""
        for scale in self._scales():
            scale.fit(windows)
        total = torch.zeros_like(self.usual)
        for batch in windows.chunks(1024):
            total += self._roots(batch).double().mean(dim=-1).sum(dim=1)
        self.usual.copy_((total / len(windows)).clamp(min=1e-6))

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the last row as it is, and the (B, 1, F) anomaly score on it."""
        roots = self._roots(windows) / self.usual[:, None, None]
        return Prediction(windows[:, -1:], anomaly_score=roots.mean(dim=0).unsqueeze(1))

    def _scales(self) -> list[PrincipalModel]:
        return cast("list[PrincipalModel]", list(self.scales))

    def _roots(self, windows: Tensor) -> Tensor:
        """Returns the (S, B, F) root of each feature's mean squared error over the rows of a scale."""
        errors = []
        for scale in self._scales():
            if scale.steps == 1:
                last = windows[:, -_ROWS:]
                rows = last.reshape(-1, 1, last.shape[-1])
                errors.append(scale(rows).residual(rows).abs().reshape(last.shape).mean(dim=1))
            else:
                errors.append(scale(windows).residual(windows).square().mean(dim=1).sqrt())
        return torch.stack(errors)
