"""Scalers: each feature shifted and divided by what its training rows say."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.series import Series
from tsad.spec import Spec


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scaled = clip((value - center) / scale).

    Attributes:
        center: (F,) float64.
        scale: (F,) float64, above 0.
        clip: Largest absolute value that comes out, or None.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float | None

    def apply(self, series: Series) -> Series:
        """Returns `series` with scaled values (a copy, float32)."""
        values = (series.values - self.center) / self.scale
        if self.clip is not None:
            np.clip(values, -self.clip, self.clip, out=values)
        return Series(values.astype(np.float32), series.features, series.labels, series.boundaries, series.times)


class StandardScalerSpec(Spec):
    """Mean 0 and deviation 1 on the fitted rows.

    A feature that is constant there is only shifted (scale 1, scikit-learn's convention).

    Attributes:
        clip: Largest absolute z-score. A feature that was almost constant in training and moves later would otherwise
            outweigh all others by orders of magnitude.
    """

    kind: Literal["standard"] = "standard"
    clip: float | None = Field(50.0, gt=0)

    def fit(self, series: Series) -> Scaler:
        """Returns the scaler of these rows."""
        values = series.values.astype(np.float64)
        center, scale = values.mean(axis=0), values.std(axis=0)
        constant = scale <= 1e-7 * np.maximum(np.abs(center), 1e-30)
        return Scaler(center=center, scale=np.where(constant, 1.0, scale), clip=self.clip)


class NoScalerSpec(Spec):
    """Values as they are."""

    kind: Literal["none"]

    def fit(self, series: Series) -> Scaler:
        """Returns the scaler that changes nothing."""
        features = len(series.features)
        return Scaler(center=np.zeros(features), scale=np.ones(features), clip=None)


ScalerSpec = Annotated[StandardScalerSpec | NoScalerSpec, Field(discriminator="kind")]
"""Every scaler that a YAML can name."""
