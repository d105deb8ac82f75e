"""Nearest neighbors: the training row, or the mean of similar training windows, that comes nearest."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


class NearestNeighborSpec(Spec):
    """The nearest training row as the prediction of a row (1-NN; Ramaswamy et al. 2000 with k = 1).

    Attributes:
        rows: Largest number of training rows that are kept, evenly spread in time if there are more.
    """

    kind: Literal["nearest_neighbor"]
    rows: int = Field(10_000, ge=1)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model for F features."""
        return Nearest(steps=1, features=features, points=self.rows)


class KMeansSpec(Spec):
    """The nearest of K centroids of training windows as the prediction of a window (Lloyd; Yairi et al. 2001).

    Attributes:
        clusters: Number of centroids, K.
        windows: Largest number of training windows that the centroids are fitted on, evenly spread in time if there are more.
        seed: Seed of the first centroids.
    """

    kind: Literal["k_means"]
    clusters: int = Field(64, ge=1)
    windows: int = Field(10_000, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model for (B, L, F) windows."""
        return WindowMeans(self, features, length)


class Nearest(ClosedFormModel):
    """Predicts the last steps of a window by the nearest of the points that it keeps.

    Attributes:
        points: (K, H * F) reference points; with fewer training windows than K, what is left over is infinitely far away.
    """

    points: Tensor

    def __init__(self, steps: int, features: int, points: int) -> None:
        super().__init__(steps)
        self.register_buffer("points", torch.full((points, steps * features), torch.inf))

    def fit(self, windows: Windows) -> None:
        """Keeps the last rows of the training windows."""
        self.keep(_spread(windows, len(self.points))[:, -self.steps :].flatten(start_dim=1))

    def check_values(self) -> None:
        """Raises `ValueError` if a point is neither finite nor left over, or all of them are left over."""
        is_left_over = (self.points == torch.inf).all(dim=1)
        if not bool((self.points.isfinite().all(dim=1) | is_left_over).all()) or bool(is_left_over.all()):
            raise ValueError("points has NaN or infinity")

    def keep(self, points: Tensor) -> None:
        """Sets the points, at most K of them."""
        self.points.fill_(torch.inf)[: len(points)] = points

    def forward(self, windows: Tensor) -> Prediction:
        """Returns (B, H, F), H = 1 for rows and L for windows."""
        steps = windows[:, -self.steps :].flatten(start_dim=1)
        is_finite = torch.isfinite(self.points[:, 0])
        points = self.points[is_finite] if is_finite.any() else torch.zeros_like(self.points[:1])
        nearest = torch.cdist(steps, points).argmin(dim=1)
        return Prediction(points[nearest].reshape(len(windows), self.steps, -1))


class WindowMeans(Nearest):
    """Keeps centroids in place of training windows."""

    def __init__(self, spec: KMeansSpec, features: int, length: int) -> None:
        super().__init__(length, features, spec.clusters)
        self.windows, self.seed = spec.windows, spec.seed

    def fit_bytes(self, windows: int) -> int:
        """Returns the bytes of the windows that are clustered, of a sorted copy and of scikit-learn's, and of the centroids."""
        return 12 * min(windows, self.windows) * self.points.shape[1] + super().fit_bytes(windows)

    def fit(self, windows: Windows) -> None:
        """Sets the centroids by scikit-learn's K-means; with fewer different windows than K, each is a centroid."""
        from sklearn.cluster import KMeans  # takes half a second to import

        points = _spread(windows, self.windows).flatten(start_dim=1)
        clusters = min(len(self.points), len(torch.unique(points, dim=0)))
        fitted = KMeans(clusters, n_init=1, random_state=self.seed).fit(points.cpu().numpy())
        self.keep(torch.from_numpy(fitted.cluster_centers_))


def _spread(windows: Windows, count: int) -> Tensor:
    """Returns at most `count` windows, evenly spread in time."""
    chosen = windows.spread(count)
    return chosen.take(torch.arange(len(chosen), device=chosen.starts.device))
