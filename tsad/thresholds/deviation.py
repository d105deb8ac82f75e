"""Mean and standard deviation of the validation scores."""

from math import sqrt
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.threshold import FixedThreshold, scored


class SigmaSpec(Spec):
    """Mean + factor * standard deviation.

    Attributes:
        factor: Deviations above the mean; 3 is customary.
    """

    reads_labels: ClassVar[bool] = False
    scores_needed: ClassVar[int] = 2
    kind: Literal["sigma"]
    factor: float = Field(3.0, ge=0)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "SigmaThreshold":
        """Returns the threshold from the population mean and deviation; raises ValueError if there are no two scores."""
        values = scored(self.kind, scores, self.scores_needed, "give more validation rows")
        return SigmaThreshold.of(self, *_moments(values))


class SigmaThreshold(FixedThreshold):
    """Mean and deviation of all scores so far; updates are exact and need no scores kept.

    Attributes:
        spec: How many deviations.
        count: Scores taken in.
        mean: Mean of the scores.
        squares: Sum of their squared differences from the mean.
    """

    kind: Literal["sigma"] = "sigma"
    spec: SigmaSpec
    count: int = Field(ge=1)
    mean: float
    squares: float = Field(ge=0)

    @classmethod
    def of(cls, spec: SigmaSpec, count: int, mean: float, squares: float) -> Self:
        """Returns the threshold of moments."""
        threshold = mean + spec.factor * sqrt(squares / count)
        return cls(value=threshold, spec=spec, count=count, mean=mean, squares=squares)

    @property
    def method(self) -> str:
        """Number of deviations."""
        return f"mean + {self.spec.factor:g} sigma"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        """Returns the joint moments (Chan, Golub and LeVeque 1983, equation 2.1)."""
        added, mean, squares = _moments(values)
        count = self.count + added
        step = mean - self.mean
        between = step**2 * self.count * added / count
        return self.of(self.spec, count, self.mean + step * added / count, self.squares + squares + between)


def _moments(values: NDArray[np.float64]) -> tuple[int, float, float]:
    """Returns count, mean, and the sum of squared differences from the mean."""
    mean = float(values.mean())
    return len(values), mean, float(((values - mean) ** 2).sum())
