"""A percentile of the validation scores."""

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.sample import Sample
from tsad.thresholds.threshold import FixedThreshold, scored

PERCENTILES = (80.0, 82.5, 85.0, 87.5, 90.0, 92.5, 95.0, 96.0, 97.0, 98.0, 99.0, 99.5, 99.9)
"""Percentiles that `sweep_percentiles` tries."""


class PercentileSpec(Spec):
    """The score that a stated percentage of validation rows does not exceed.

    Attributes:
        percentile: From 0 to 100; 95 flags one validation row in twenty.
    """

    reads_labels: ClassVar[bool] = False
    scores_needed: ClassVar[int] = 1
    kind: Literal["percentile"] = "percentile"
    percentile: float = Field(95.0, ge=0, le=100)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "PercentileThreshold":
        """Returns the percentile, linear between neighboring scores; raises ValueError if there is none."""
        values = scored(self.kind, scores, self.scores_needed, "give more validation rows")
        return PercentileThreshold.of(self, Sample.of(values))


class PercentileThreshold(FixedThreshold):
    """A percentile of all scores so far.

    Attributes:
        spec: Which one.
        sample: The scores; beyond 10,001 their quantiles, so that a percentile of up to two decimals stays exact.
    """

    kind: Literal["percentile"] = "percentile"
    spec: PercentileSpec
    sample: Sample

    @classmethod
    def of(cls, spec: PercentileSpec, sample: Sample) -> Self:
        """Returns the threshold of a sample."""
        return cls(value=float(np.percentile(sample.values, spec.percentile)), spec=spec, sample=sample)

    @property
    def method(self) -> str:
        """Name of the percentile."""
        return f"percentile {self.spec.percentile:g}"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        return self.of(self.spec, self.sample.joined(values))


def sweep_percentiles(scores: NDArray[np.float64]) -> dict[float, float]:
    """Returns the threshold by percentile for each of `PERCENTILES`, ascending; what to tabulate beside a chosen threshold.

    Args:
        scores: (T,) of validation rows, NaN where there is none.

    Raises:
        ValueError: if there is no score.
    """
    values = scored("percentile", scores, 1, "give more validation rows")
    return dict(zip(PERCENTILES, np.percentile(values, PERCENTILES).tolist(), strict=True))
