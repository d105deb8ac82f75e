"""Principal components of rows (PCA error) and of whole windows (the linear autoencoder)."""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import CELLS, Windows


class PcaErrorSpec(Spec):
    """Squared error that the first principal components of the rows leave unexplained (Shyu et al. 2003).

    Attributes:
        components: Axes kept, at most F.
    """

    kind: Literal["pca_error"]
    components: int = Field(5, ge=1)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model; raises ValueError if there are fewer features than components."""
        return PrincipalModel(steps=1, features=features, components=self.components)


class WindowLinearSpec(Spec):
    """The linear autoencoder of windows: PCA of their L * F values, the optimum of a linear encoder and decoder.

    Attributes:
        components: Axes kept, at most L * F; the size of the bottleneck.
    """

    kind: Literal["window_linear"]
    components: int = Field(16, ge=1)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model; raises ValueError if a window has fewer values than components."""
        return PrincipalModel(steps=length, features=features, components=self.components)


_WIDE = 4096
"""Values of a window from which the products of windows are decomposed, however many windows there are."""
_WINDOWS = 2048
"""Windows that are multiplied with each other, at most; evenly spread in time if there are more."""


class PrincipalModel(ClosedFormModel):
    """Predicts the last steps of a window by their projection on the principal axes of the training windows.

    The covariance is summed batch by batch in double precision, so that windows are never held all at once and the
    axes are exact, which scikit-learn's `PCA` (all windows in memory) and `IncrementalPCA` (approximate) are not both. Its
    cost is cubic in the values of a window. Where values are many, the axes come from the (N, N) products of the windows
    (Sirovich 1987), for a cost that is linear in the values: the same axes if there are at most `_WINDOWS` windows, else
    those of as many windows, spread in time.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, steps: int, features: int, components: int) -> None:
        super().__init__(steps)
        size = steps * features
        if components > size:
            raise ValueError(
                f"components must not exceed the values they explain, but got components={components} and {size} values "
                f"({steps} steps x {features} features); take fewer components or a longer window"
            )
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.zeros(size, components))

    def fit(self, windows: Windows) -> None:
        """Sets the mean and the leading eigenvectors of the covariance."""
        if self._is_wide(len(windows)):
            self._fit_wide(windows.spread(_WINDOWS))
            return
        size, device = len(self.mean), windows.rows.device
        mean = torch.zeros(size, dtype=torch.float64, device=device)
        for batch in windows.chunks(4096):
            mean += self._flat(batch).double().sum(dim=0)
        mean /= len(windows)
        scatter = torch.zeros(size, size, dtype=torch.float64, device=device)
        for batch in windows.chunks(4096):
            centered = self._flat(batch).double() - mean
            scatter += centered.T @ centered
        _, vectors = torch.linalg.eigh(scatter)  # eigenvalues ascend
        self.mean.copy_(mean)
        self.axes.copy_(vectors[:, -self.axes.shape[1] :])

    def fit_bytes(self, windows: int) -> int:
        """Returns the bytes of the matrix that is decomposed, with its eigenvectors and workspace, and of the axes."""
        size = min(windows, _WINDOWS) if self._is_wide(windows) else len(self.mean)
        return 8 * (4 * size**2 + 2 * self.axes.numel())

    def _is_wide(self, windows: int) -> bool:
        return len(self.mean) > _WIDE or windows <= _WINDOWS < len(self.mean)

    def _fit_wide(self, windows: Windows) -> None:
        """Sets the mean and the axes from the products of all windows with each other, summed over groups of features."""
        products = torch.zeros(len(windows), len(windows), dtype=torch.float64, device=windows.rows.device)
        for _, values in self._centered(windows):
            products += values @ values.T
        squares, vectors = torch.linalg.eigh(products)  # ascending
        rank = min(self.axes.shape[1], len(windows))
        squares, vectors = squares[len(squares) - rank :], vectors[:, len(vectors) - rank :]
        lengths = squares.clamp(min=0).sqrt()
        weights = torch.where(lengths > 1e-7 * lengths.max(), vectors / lengths, 0.0)
        axes = self.axes.zero_().view(self.steps, -1, self.axes.shape[1])[..., self.axes.shape[1] - rank :]
        for features, values in self._centered(windows):
            axes[:, features] = (values.T @ weights).reshape(self.steps, -1, rank).to(axes.dtype)

    def _centered(self, windows: Windows) -> Iterator[tuple[slice, Tensor]]:
        """Yields groups of features with their (N, H * features) values minus the mean of each, which is set."""
        means = self.mean.view(self.steps, -1)
        group = max(1, CELLS // (2 * len(windows) * self.steps))
        for first in range(0, means.shape[1], group):
            features = slice(first, first + group)
            view = windows.rows[:, features].unfold(0, self.steps, 1)  # (T - H + 1, features, H)
            steps = view[windows.ends - self.steps + 1].transpose(1, 2).double()  # (N, H, features)
            mean = steps.mean(dim=0)
            means[:, features] = mean
            yield features, (steps - mean).flatten(start_dim=1)

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, H, F), H = 1 for rows and L for windows, and the (B, components) coordinates.

        They are products in double precision, then rounded: a library may compute the rows of a narrow product in unlike
        ways, and what a window gets must not depend on its place in the batch.
        """
        mean, axes = self.mean.double(), self.axes.double()
        embedding = self._flat(windows).to(torch.float64, copy=True).sub_(mean) @ axes
        values = (embedding @ axes.T).add_(mean).to(windows.dtype)
        return Prediction(values.reshape(len(windows), self.steps, -1), embedding.to(windows.dtype))

    def _flat(self, windows: Tensor) -> Tensor:
        return windows[:, -self.steps :].flatten(start_dim=1)
