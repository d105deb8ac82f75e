"""The level above which a row is flagged."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LabelsUsed = Literal["nothing", "selection", "test"]
"""Whose labels chose something: nobody's; those of rows set apart for choosing; those of the reported rows."""


@dataclass(frozen=True)
class Threshold:
    """A fitted level.

    Attributes:
        level: A row is flagged if its score is above, not at, this.
        method: What fitted it, for people: "percentile 95".
        labels_used: Whose labels chose the level: "nothing", or "test" for an oracle.
    """

    level: float
    method: str
    labels_used: LabelsUsed = "nothing"

    def flags(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns (T,) True where a score is above the level; a row without a score is not flagged."""
        with np.errstate(invalid="ignore"):
            return scores > self.level


def scored(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the scores that are not NaN; raises ValueError if there is none."""
    values = scores[~np.isnan(scores)]
    if not len(values):
        raise ValueError(
            f"a threshold needs at least one score, but all of {len(scores)} are NaN; give more rows to fit it on"
        )
    return values
