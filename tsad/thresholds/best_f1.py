"""The threshold of the best F1: an oracle, since it reads the labels of the rows it is judged on."""

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tsad.provenance import LabelsUsed
from tsad.spec import Spec
from tsad.sweep import sweep
from tsad.thresholds.threshold import FixedThreshold, finite


class BestF1Spec(Spec):
    """The threshold that no label-free fixed threshold can beat on these rows; not deployable, and marked so."""

    reads_labels: ClassVar[bool] = True
    scores_needed: ClassVar[int] = 1
    kind: Literal["best_f1"]

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "BestF1Threshold":
        """Returns the best threshold for the labeled test rows; raises ValueError without a label of an anomaly."""
        scored = ~np.isnan(scores)
        if labels is None or not labels[scored].any():
            raise ValueError(
                "threshold best_f1 needs test rows with labeled anomalies; take percentile or sigma without them"
            )
        swept = sweep(finite(scores), labels[scored])
        return BestF1Threshold(value=float(swept.thresholds[swept.best]))


class BestF1Threshold(FixedThreshold):
    """The threshold of the best F1."""

    labels_used: ClassVar[LabelsUsed] = "test"
    kind: Literal["best_f1"] = "best_f1"

    @property
    def method(self) -> str:
        """Says whose labels it read."""
        return "best F1 on test labels"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        raise ValueError(
            f"an oracle cannot be updated without labels, but {len(values)} scores came alone; fit best_f1 to labeled rows, "
            f"or take a threshold that reads none"
        )
