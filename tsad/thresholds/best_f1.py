"""The level of the best F1: an oracle, since it reads the labels of the rows it is judged on."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tsad.spec import Spec
from tsad.sweep import sweep
from tsad.thresholds.threshold import Threshold


class BestF1Spec(Spec):
    """The level that no label-free rule can beat on these rows; not deployable, and marked so."""

    reads_labels: ClassVar[bool] = True
    kind: Literal["best_f1"]

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> Threshold:
        """Returns the best level for the labelled test rows; raises ValueError without a label of an anomaly."""
        if labels is None or not labels[~np.isnan(scores)].any():
            raise ValueError(
                "threshold best_f1 needs test rows with labelled anomalies; take percentile or sigma without them"
            )
        known = ~np.isnan(scores)
        swept = sweep(scores[known], labels[known])
        return Threshold(float(swept.levels[swept.best]), "best F1 on test labels", labels_used="test")
