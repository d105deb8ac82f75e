"""Principal components of rows (PCA error) and of whole windows (the linear autoencoder)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


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


class PrincipalModel(ClosedFormModel):
    """Predicts the last steps of a window by their projection on the principal axes of the training windows.

    The covariance is summed batch by batch in double precision, so that windows are never held all at once and the
    axes are exact, which scikit-learn's `PCA` (all windows in memory) and `IncrementalPCA` (approximate) are not both.
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
        size, device = len(self.mean), windows.rows.device
        mean = torch.zeros(size, dtype=torch.float64, device=device)
        for batch in windows.batches(4096):
            mean += self._flat(batch).double().sum(dim=0)
        mean /= len(windows)
        scatter = torch.zeros(size, size, dtype=torch.float64, device=device)
        for batch in windows.batches(4096):
            centered = self._flat(batch).double() - mean
            scatter += centered.T @ centered
        _, vectors = torch.linalg.eigh(scatter)  # eigenvalues ascend
        self.mean.copy_(mean)
        self.axes.copy_(vectors[:, -self.axes.shape[1] :])

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, H, F), H = 1 for rows and L for windows, and the (B, components) coordinates.

        They are products in double precision, then rounded: a library may compute the rows of a narrow product in unlike
        ways, and what a window gets must not depend on its place in the batch.
        """
        mean, axes = self.mean.double(), self.axes.double()
        embedding = (self._flat(windows).double() - mean) @ axes
        values = (mean + embedding @ axes.T).to(windows.dtype)
        return Prediction(values.reshape(len(windows), self.steps, -1), embedding.to(windows.dtype))

    def _flat(self, windows: Tensor) -> Tensor:
        return windows[:, -self.steps :].flatten(start_dim=1)
