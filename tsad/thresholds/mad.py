"""Median and median absolute deviation of the validation scores."""

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.sample import Sample
from tsad.thresholds.threshold import FixedThreshold, scored


class MadSpec(Spec):
    """Median + factor * 1.4826 * MAD, the median absolute difference from the median.

    Up to half of the validation rows may be strange and the threshold still holds. 1.4826 makes it the standard deviation
    of normally distributed scores, but errors are skewed, with a heavy tail to the right that the MAD does not see:
    of exponential scores a factor of 3 flags 5.9 %, 10 flags 0.04 %.

    Where more than half of the scores are equal the MAD is 0. The mean absolute difference from the median * 1.2533, which
    too is the deviation of normal scores, then takes its place (Iglewicz and Hoaglin 1993), and `method` says so.

    Attributes:
        factor: Deviations above the median.
    """

    reads_labels: ClassVar[bool] = False
    scores_needed: ClassVar[int] = 2
    kind: Literal["mad"]
    factor: float = Field(3.0, ge=0)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "MadThreshold":
        """Returns the threshold; raises ValueError if there are no two scores."""
        values = scored(self.kind, scores, self.scores_needed, "give more validation rows")
        return MadThreshold.of(self, Sample.of(values))


class MadThreshold(FixedThreshold):
    """Median and MAD of all scores so far.

    Attributes:
        spec: How many deviations.
        sample: The scores; beyond 10,001 their quantiles.
        stand_in: Whether the MAD is 0 and the mean absolute difference took its place.
    """

    kind: Literal["mad"] = "mad"
    spec: MadSpec
    sample: Sample
    stand_in: bool

    @classmethod
    def of(cls, spec: MadSpec, sample: Sample) -> Self:
        """Returns the threshold of a sample."""
        median = float(np.median(sample.values))
        differences = np.abs(np.array(sample.values) - median)
        mad = float(np.median(differences))
        deviation = 1.4826 * mad if mad else 1.2533 * float(differences.mean())
        return cls(value=median + spec.factor * deviation, spec=spec, sample=sample, stand_in=not mad)

    @property
    def method(self) -> str:
        """Number and kind of deviations."""
        return f"median + {self.spec.factor:g} {'mean deviations (MAD is 0)' if self.stand_in else 'MAD'}"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        return self.of(self.spec, self.sample.joined(values))
