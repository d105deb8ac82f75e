"""Autoregressive ridge: a row as a linear function of the few rows before it."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


class AutoregressiveRidgeSpec(Spec):
    """Every feature from all features of the last rows by ridge regression (Hoerl and Kennard 1970), with an intercept.

    Attributes:
        order: Rows that it looks back, less than the window length.
        penalty: On the squared coefficients, not on the intercept, as scikit-learn's `alpha`.
    """

    kind: Literal["autoregressive_ridge"]
    order: int = Field(5, ge=1)
    penalty: float = Field(1.0, gt=0)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model; raises ValueError if the window is too short to look back that far."""
        if length <= self.order:
            raise ValueError(
                f"a window must hold the rows that are looked back on and the row after them, but got order={self.order} "
                f"and length={length}; take length={self.order + 1} or more, or a lower order"
            )
        return AutoregressiveRidge(self, features)


_WIDE = 2048
"""Inputs from which windows are multiplied with each other, if they are fewer than the inputs."""


class AutoregressiveRidge(ClosedFormModel):
    """Predicts the last step of a window from the `order` steps before it.

    The normal equations are summed batch by batch in double precision: the coefficients are those of scikit-learn's
    `Ridge`, which would need all windows in memory at once. With more inputs than `_WIDE` and than windows, they come from
    the dual equations of the windows, which are fewer then.
    """

    coefficients: Tensor
    intercept: Tensor

    def __init__(self, spec: AutoregressiveRidgeSpec, features: int) -> None:
        super().__init__(steps=1)
        self.order, self.penalty = spec.order, spec.penalty
        self.register_buffer("coefficients", torch.zeros(spec.order * features, features))
        self.register_buffer("intercept", torch.zeros(features))

    @property
    def inputs(self) -> int:
        """Number of values that a row is predicted from."""
        return len(self.coefficients)

    def fit(self, windows: Windows) -> None:
        """Sets coefficients and intercept."""
        if self.inputs > max(_WIDE, len(windows)):
            self._fit_wide(windows)
            return
        inputs, outputs = self.coefficients.shape
        moments = torch.zeros(inputs + 1, inputs + outputs + 1, dtype=torch.float64)
        for batch in windows.chunks(4096):
            past = self._past(batch).double()
            extended = torch.cat([past, torch.ones(len(past), 1, dtype=past.dtype, device=past.device)], dim=1)
            moments += (extended.T @ torch.cat([extended, batch[:, -1].double()], dim=1)).cpu()
        scatter, cross = moments[:, : inputs + 1], moments[:, inputs + 1 :]
        penalty = torch.full((inputs + 1,), self.penalty, dtype=torch.float64)
        penalty[-1] = 0.0  # the intercept
        solution = torch.linalg.solve(scatter + torch.diag(penalty), cross)
        self.coefficients.copy_(solution[:-1])
        self.intercept.copy_(solution[-1])

    def fit_bytes(self, windows: int) -> int:
        """Returns the bytes of the equations, of their solution, and of the coefficients, in double precision."""
        inputs, outputs = self.coefficients.shape
        equations = (
            windows * (2 * inputs + windows) if inputs > max(_WIDE, windows) else 3 * inputs * (inputs + outputs)
        )
        return 8 * (equations + 2 * inputs * outputs)

    def _fit_wide(self, windows: Windows) -> None:
        """Sets coefficients and intercept from the dual equations: (X X' + penalty) a = Y, coefficients X' a, both centered."""
        past, last = zip(*((self._past(batch), batch[:, -1]) for batch in windows.chunks(4096)), strict=True)
        inputs, outputs = torch.cat(past).double(), torch.cat(last).double()
        input_means, output_means = inputs.mean(dim=0), outputs.mean(dim=0)
        inputs -= input_means
        products = inputs @ inputs.T
        products.diagonal().add_(self.penalty)
        solution = inputs.T @ torch.linalg.solve(products, outputs - output_means)
        self.coefficients.copy_(solution)
        self.intercept.copy_(output_means - input_means @ solution)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, 1, F), a product in double precision, rounded, as `PrincipalModel` does and for its reason."""
        values = self._past(windows).double() @ self.coefficients.double() + self.intercept.double()
        return Prediction(values.to(windows.dtype).unsqueeze(1))

    def _past(self, windows: Tensor) -> Tensor:
        return windows[:, -self.order - 1 : -1].flatten(start_dim=1)  # (B, order * F)
