"""Mean and standard deviation of the validation scores."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.spec import Spec
from tsad.thresholds.threshold import Threshold, scored


class SigmaSpec(Spec):
    """Mean + factor * standard deviation.

    Attributes:
        factor: Deviations above the mean; 3 is customary.
    """

    reads_labels: ClassVar[bool] = False
    kind: Literal["sigma"]
    factor: float = Field(3.0, ge=0)

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> Threshold:
        """Returns the level from the population mean and deviation."""
        values = scored(scores)
        return Threshold(float(values.mean() + self.factor * values.std()), f"mean + {self.factor:g} sigma")
