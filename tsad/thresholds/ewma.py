"""A threshold that follows the scores."""

from math import inf, isinf, isnan, sqrt
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.threshold import Threshold, scored


class EwmaSpec(Spec):
    """Mean + factor * deviation, both exponentially weighted over the rows before.

    It bears slow drift, which a fixed threshold does not. By default a flagged row is not taken in, so that an anomaly does not
    raise the threshold that should find it. Two things follow. The threshold forgets the upper tail of normal scores along with
    the anomalies: of exponential scores a factor of 4 flags 1.2 % where a fixed threshold flags 0.7 %. And after a
    lasting shift every row would be flagged for ever: `patience` ends that.

    The defaults were the best on twelve machines of SMD (rows are minutes, labels were read), in a wide plateau: F1 is
    .44 to .46 for factors of 4 to 5, spans of 1440 to 10,000 and a patience of 1000 to 2000.

    Attributes:
        factor: Deviations above the mean.
        span: Rows that the past fades over: the newest row weighs 2 / (span + 1).
        patience: Flagged rows in succession that are left out; those that follow are taken in, until a row is not flagged,
            so the threshold moves up to a lasting shift. 0 takes all rows in, None never a flagged one.
    """

    reads_labels: ClassVar[bool] = False
    scores_needed: ClassVar[int] = 2
    kind: Literal["ewma"]
    factor: float = Field(4.0, ge=0)
    span: float = Field(3000.0, ge=1)
    patience: int | None = Field(1000, ge=0)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "EwmaThreshold":
        """Returns the threshold that starts from mean and deviation of all scores; raises ValueError if there are no two."""
        values = scored(self.kind, scores, self.scores_needed, "give more validation rows")
        return EwmaThreshold(spec=self, mean=float(values.mean()), variance=float(values.var()), alarms=0)


class EwmaThreshold(Threshold):
    """State of the moving mean and variance.

    `update` takes every score in, flagged or not, and forgets as rows do.

    Attributes:
        spec: How they move.
        mean: Exponentially weighted mean of the scores.
        variance: Exponentially weighted variance of the scores.
        alarms: Flagged rows in succession up to now.
    """

    kind: Literal["ewma"] = "ewma"
    spec: EwmaSpec
    mean: float
    variance: float = Field(ge=0)
    alarms: int = Field(ge=0)

    @property
    def method(self) -> str:
        """Number of deviations, and of rows."""
        return f"moving mean + {self.spec.factor:g} sigma, span {self.spec.span:g}"

    def advance(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], Self]:
        """Returns the thresholds; what a row has to say counts from the next one on. An infinite score is never taken in."""
        return self._advance(scores, inf if self.spec.patience is None else self.spec.patience)

    def _updated(self, values: NDArray[np.float64]) -> Self:
        return self._advance(values, patience=0)[1].model_copy(update={"alarms": 0})

    def _advance(self, scores: NDArray[np.float64], patience: float) -> tuple[NDArray[np.float64], Self]:
        factor, weight = self.spec.factor, 2 / (self.spec.span + 1)
        mean, variance, alarms = self.mean, self.variance, self.alarms
        thresholds = []
        # whether a row is taken in depends on the threshold that the rows before it left, so there is no closed form
        for score in scores.tolist():
            threshold = mean + factor * sqrt(variance)
            thresholds.append(threshold)
            if isnan(score):
                continue
            alarms = alarms + 1 if score > threshold else 0
            if 0 < alarms <= patience or isinf(score):
                continue
            difference = score - mean
            mean += weight * difference
            variance = (1 - weight) * (variance + weight * difference * difference)  # West 1979
        after = self.model_copy(update={"mean": mean, "variance": variance, "alarms": alarms})
        return np.array(thresholds), after
