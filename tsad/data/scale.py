"""Scalers: each feature is shifted and divided by statistics of its training rows."""

import logging
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tsad.arrays import Flags, Floats, Values
from tsad.data.precision import ROUNDING, loses_variation, named
from tsad.series import Series
from tsad.spec import Spec

_logger = logging.getLogger(__name__)

Precision = Literal["float32", "float64"]
"""Type of the values that a scaler takes; scaled values are float32 always."""

_ROUNDING_64 = 2.0**-50
"""Relative deviation up to which a float64 feature counts as constant: a few steps of its numbers."""
_BLIND = 0.1
"""Distance between neighboring float32 numbers, in deviations of a feature, from which its variation is hardly seen."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scales a value to clip((value - center) / scale).

    Attributes:
        center: (F,) what is subtracted from each feature.
        scale: (F,) what each feature is divided by, above 0.
        clip: Largest absolute value of a scaled cell; None leaves them unlimited.
        precision: Type of the values that it was fitted on; others are converted to it first.
    """

    center: Floats
    scale: Floats
    clip: float | None
    precision: Precision = "float32"

    def rounded(self, values: Values) -> Values:
        """Returns values as the scaler takes them: rounded to float32 if it was fitted on such values."""
        return values.astype(self.precision, copy=False)

    @property
    def blind(self) -> Flags:
        """(F,) True where the scaler takes float32 values whose steps are too coarse for the deviation of the feature."""
        steps = 2 * ROUNDING * np.abs(self.center)
        return np.asarray((steps > _BLIND * self.scale) & (self.precision == "float32"))

    def after(self, first: "Scaler") -> "Scaler":
        """Returns the scaler that does what this one does to rows that `first`, which must not clip, has scaled."""
        return Scaler(first.center + self.center * first.scale, self.scale * first.scale, self.clip, first.precision)

    def apply(self, series: Series) -> Series:
        """Returns the series with scaled values, a copy in float32; the center is subtracted in float64."""
        values = (self.rounded(series.values) - self.center) / self.scale
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
        precision = _precision(series)
        values = series.values.astype(np.float64)
        if precision == "float32":
            center, scale = values.mean(axis=0), values.std(axis=0)
            constant = scale <= 1e-7 * np.maximum(np.abs(center), 1e-30)
        else:  # a sum of large values would round the variation away
            differences = values - values[:1]
            center, scale = values[0] + differences.mean(axis=0), differences.std(axis=0)
            constant = scale <= _ROUNDING_64 * np.abs(center)
        return Scaler(center, np.where(constant, 1.0, scale), self.clip, precision)


class NoScalerSpec(Spec):
    """Leaves values as they are."""

    kind: Literal["none"]

    def fit(self, series: Series) -> Scaler:
        """Returns the scaler that changes nothing."""
        features, precision = len(series.features), _precision(series)
        if precision == "float64":
            _logger.warning(
                "scaler none passes float32 values to the model, which round the variation of %s away; set scaler.kind=standard",
                named(series.features, loses_variation(series.values)),
            )
        return Scaler(np.zeros(features), np.ones(features), None, precision)


def _precision(series: Series) -> Precision:
    return "float64" if series.values.dtype == np.float64 else "float32"


ScalerSpec = Annotated[StandardScalerSpec | NoScalerSpec, Field(discriminator="kind")]
"""Every scaler that an experiment can name."""
