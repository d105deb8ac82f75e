"""Scalers: each feature is shifted and divided by statistics of its training rows."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tsad.arrays import Floats
from tsad.series import Series
from tsad.spec import Spec


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scales a value to clip((value - center) / scale).

    Attributes:
        center: (F,) what is subtracted from each feature.
        scale: (F,) what each feature is divided by, above 0.
        clip: Largest absolute value of a scaled cell; None leaves them unlimited.
    """

    center: Floats
    scale: Floats
    clip: float | None

    def apply(self, series: Series) -> Series:
        """Returns the series with scaled values, a copy in float32."""
        values = (series.values - self.center) / self.scale
        if self.clip is not None:
            np.clip(values, -self.clip, self.clip, out=values)
        return Series(values.astype(np.float32), series.features, series.labels, series.boundaries, series.times)


class StandardScalerSpec(Spec):
    """Scales each feature to mean 0 and standard deviation 1 on the fit rows.

    Use it unless the features already share a scale. A feature that is constant there is only shifted (scale 1, as
    scikit-learn does).

    Attributes:
        clip: Largest absolute z-score, above 0; null leaves it unlimited. Without it, a feature that was almost constant in
            training and moves later outweighs all others by orders of magnitude.

    Example:
        >>> rows = Series(np.array([[1.0], [3.0]], np.float32), ("load",))
        >>> StandardScalerSpec().fit(rows).apply(rows).values.tolist()
        [[-1.0], [1.0]]
    """

    kind: Literal["standard"] = "standard"
    clip: float | None = Field(50.0, gt=0)

    def fit(self, series: Series) -> Scaler:
        """Returns the scaler with mean and standard deviation of these rows."""
        values = series.values.astype(np.float64)
        center, scale = values.mean(axis=0), values.std(axis=0)
        constant = scale <= 1e-7 * np.maximum(np.abs(center), 1e-30)
        return Scaler(center=center, scale=np.where(constant, 1.0, scale), clip=self.clip)


class NoScalerSpec(Spec):
    """Leaves values as they are."""

    kind: Literal["none"]

    def fit(self, series: Series) -> Scaler:
        """Returns the scaler that changes nothing."""
        features = len(series.features)
        return Scaler(center=np.zeros(features), scale=np.ones(features), clip=None)


ScalerSpec = Annotated[StandardScalerSpec | NoScalerSpec, Field(discriminator="kind")]
"""Every scaler that an experiment can name."""
