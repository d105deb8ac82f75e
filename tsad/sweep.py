"""Precision, recall and F1 at every threshold that separates two scores."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sweep(NamedTuple):
    """One entry per unique score, ascending; flags are the scores above `thresholds`.

    Attributes:
        thresholds: (K,) thresholds just below each unique score, so that the score itself is flagged.
        precision: (K,) precision at each threshold.
        recall: (K,) recall at each threshold.
        f1: (K,) F1 at each threshold, 0 where precision and recall are 0.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def best(self) -> int:
        """Index of the highest F1, the lowest threshold among equals."""
        return int(self.f1.argmax())


def sweep(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Sweep:
    """Returns the sweep over the unique scores, never a grid of thresholds between the extremes.

    Args:
        scores: (T,) finite scores.
        labels: (T,) labels with at least one True.
    """
    from sklearn.metrics import precision_recall_curve  # slow to import, and not needed to score rows

    precision, recall, thresholds = precision_recall_curve(labels, scores)
    precision, recall = precision[:-1], recall[:-1]  # scikit-learn adds a point beyond the highest threshold
    hits = precision + recall > 0
    f1 = np.divide(2 * precision * recall, precision + recall, out=np.zeros_like(precision), where=hits)
    return Sweep(np.nextafter(thresholds, -np.inf), precision, recall, f1)
