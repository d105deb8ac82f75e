"""A percentile of the validation scores."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.threshold import Threshold, scored


class PercentileSpec(Spec):
    """The score that a stated percentage of validation rows does not exceed.

    Attributes:
        percentile: From 0 to 100; 95 flags one validation row in twenty.
    """

    reads_labels: ClassVar[bool] = False
    kind: Literal["percentile"] = "percentile"
    percentile: float = Field(95.0, ge=0, le=100)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> Threshold:
        """Returns the percentile, linear between neighbouring scores."""
        return Threshold(float(np.percentile(scored(scores), self.percentile)), f"percentile {self.percentile:g}")
