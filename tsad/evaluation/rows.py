"""Rows as metrics see them: scores, flags and labels of the scored rows, and what several metrics share, computed once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.adjusted import adjusted_f1, best_adjusted_f1, pa_k_area
from tsad.evaluation.affiliation import Affiliation, affiliation, best_affiliation_f1
from tsad.evaluation.events import EventScores, best_event_f1, detection_delays, event_scores, false_alarms
from tsad.evaluation.pointwise import pr_auc, precision_recall_f1, roc_auc
from tsad.evaluation.ranges import RangeScores, best_range_f1, range_scores
from tsad.evaluation.volume import Volume, volume_under_surface
from tsad.evaluation.windowed import WindowLevel, to_windows
from tsad.provenance import LabelsUsed
from tsad.sweep import Sweep, sweep

WINDOW, STRIDE = 128, 32
"""Rows in a window and from the start of one window to the next, as in the most quoted results on SMD."""

Needs = Literal[
    "rows",
    "flags",
    "labels",
    "ranking",
    "detection",
    "deployable",
    "alarms",
    "windows",
    "window ranking",
    "window detection",
]
"""Needs of a metric: nothing but `rows`; a row with a `flag`; `labels`; scores and labels of both classes (`ranking`); flags
and an anomalous row (`detection`), the flags chosen without labels of these rows (`deployable`); flags and labels
(`alarms`); a whole window of labeled rows (`windows`), windows of both classes (`window ranking`), flags and an anomalous
window (`window detection`)."""


@dataclass(frozen=True, eq=False)
class EvaluatedRows:
    """The scored rows that metrics are computed from.

    Attributes:
        scores: (T,) scores without NaN.
        flags: (T,) flags, or None without a threshold.
        labels: (T,) labels, or None if they are unknown.
        threshold_from: Rows whose labels chose the threshold of the flags.
        rows_per_day: Number of rows in a day; None if it is unknown.
        unscored: Number of rows that were left out since they have no score.
    """

    scores: Floats
    flags: Flags | None
    labels: Flags | None
    threshold_from: LabelsUsed = "nothing"
    rows_per_day: float | None = None
    unscored: int = 0

    @property
    def truth(self) -> Flags:
        """(T,) labels of rows that have them; raises ValueError if they have none."""
        return _present(self.labels, "labels")

    @property
    def flagged(self) -> Flags:
        """(T,) flags of rows that have them; raises ValueError if they have none."""
        return _present(self.flags, "flags")

    @cached_property
    def volume(self) -> Volume:
        """VUS-ROC and VUS-PR."""
        return volume_under_surface(self.scores, self.truth)

    @cached_property
    def sweep(self) -> Sweep:
        """Precision, recall and F1 at every threshold."""
        return sweep(self.scores, self.truth)

    @cached_property
    def point(self) -> tuple[float, float, float]:
        """Precision, recall and F1 of the flags, by rows."""
        return precision_recall_f1(self.flagged, self.truth)

    @cached_property
    def event(self) -> EventScores:
        """Precision, recall and F1 of the flags, by events."""
        return event_scores(self.flagged, self.truth)

    @cached_property
    def affiliation(self) -> Affiliation:
        """Affiliation metrics of the flags."""
        return affiliation(self.flagged, self.truth)

    @cached_property
    def range(self) -> RangeScores:
        """Range-based precision, recall and F1 of the flags."""
        return range_scores(self.flagged, self.truth)

    @cached_property
    def false_alarms(self) -> int:
        """Number of flagged segments that touch no anomaly."""
        return false_alarms(self.flagged, self.truth)

    @cached_property
    def windows(self) -> WindowLevel:
        """Scores, labels and flags of windows; raises ValueError if no window fits."""
        return to_windows(self.scores, self.truth, self.flags, length=WINDOW, stride=STRIDE)

    def missing(self, needs: Needs) -> str | None:
        """Returns the reason why a metric with these needs is undefined on these rows, or None if it is defined."""
        if needs == "rows":
            return None
        if needs == "flags":
            return None if self.flags is not None and len(self.scores) else "no flags"
        if self.labels is None or not len(self.scores):
            return "no labels" if self.labels is None else "no row has a score"
        if needs == "labels":
            return None
        if needs == "ranking":
            return None if self.labels.any() and not self.labels.all() else self._one_class()
        return self._missing_windows(needs) if "window" in needs else self._missing_flags(needs)

    def _missing_flags(self, needs: Needs) -> str | None:
        if self.flags is None:
            return "no threshold was given"
        if needs != "alarms" and not self.truth.any():
            return self._one_class()
        oracle = needs == "deployable" and self.threshold_from == "test"
        return "labels of these rows chose the flags" if oracle else None

    def _missing_windows(self, needs: Needs) -> str | None:
        reason = f"{len(self.scores)} scored rows do not hold windows of {WINDOW} rows of both kinds"
        if len(self.scores) < WINDOW:
            return reason
        labels = self.windows.labels
        if needs == "window ranking":
            return None if labels.any() and not labels.all() else reason
        return None if needs == "windows" or (self.flags is not None and labels.any()) else reason

    def _one_class(self) -> str:
        return f"all {len(self.truth)} rows are {'anomalous' if self.truth.all() else 'normal'}"


def _present(values: Flags | None, what: str) -> Flags:
    if values is None:
        raise ValueError(f"this metric needs {what}, but the rows have none; check `missing` first")
    return values


def pr_auc_of_rows(rows: EvaluatedRows) -> float:
    """Returns the average precision of the scores."""
    return pr_auc(rows.scores, rows.truth)


def roc_auc_of_rows(rows: EvaluatedRows) -> float:
    """Returns the area under the ROC curve of the scores."""
    return roc_auc(rows.scores, rows.truth)


def at_best(rows: EvaluatedRows, figure: Literal["precision", "recall", "f1", "thresholds"]) -> float:
    """Returns a figure of the sweep at the threshold of the best F1."""
    return float(getattr(rows.sweep, figure)[rows.sweep.best])


def best_event(rows: EvaluatedRows) -> float:
    """Returns the highest event F1 of any threshold."""
    return best_event_f1(rows.scores, rows.truth)


def best_affiliation(rows: EvaluatedRows) -> float:
    """Returns the highest affiliation F1 of any threshold."""
    return best_affiliation_f1(rows.scores, rows.truth)


def best_range(rows: EvaluatedRows) -> float:
    """Returns the highest range F1 of any threshold."""
    return best_range_f1(rows.scores, rows.truth)


def best_point_adjusted(rows: EvaluatedRows) -> float:
    """Returns the highest point-adjusted F1 of any threshold."""
    return best_adjusted_f1(rows.scores, rows.truth)


def point_adjusted(rows: EvaluatedRows) -> float:
    """Returns the point-adjusted F1 of the flags."""
    return adjusted_f1(rows.flagged, rows.truth)


def pa_k(rows: EvaluatedRows) -> float:
    """Returns the area under the PA%K curve of the flags."""
    return pa_k_area(rows.flagged, rows.truth)


def median_delay(rows: EvaluatedRows) -> float | None:
    """Returns the median delay of detected events in rows, None if no event was detected."""
    delays = detection_delays(rows.flagged, rows.truth)
    return float(np.median(delays)) if len(delays) else None


def false_alarms_per_day(rows: EvaluatedRows) -> float | None:
    """Returns the false alarms per day of normal rows, None if the length of a day is unknown or no row is normal."""
    normal = int((~rows.truth).sum())
    return rows.false_alarms * rows.rows_per_day / normal if rows.rows_per_day and normal else None


def true_ratio(rows: EvaluatedRows) -> float:
    """Returns the fraction of anomalous rows."""
    return float(rows.truth.mean())


def predicted_ratio(rows: EvaluatedRows) -> float:
    """Returns the fraction of flagged rows."""
    return float(rows.flagged.mean())


def window_ratio(rows: EvaluatedRows) -> float:
    """Returns the fraction of anomalous windows."""
    return float(rows.windows.labels.mean())


def window_f1(rows: EvaluatedRows) -> float:
    """Returns the F1 of flagged windows."""
    return precision_recall_f1(_present(rows.windows.flags, "flags"), rows.windows.labels)[2]


def window_roc_auc(rows: EvaluatedRows) -> float:
    """Returns the area under the ROC curve of the windows' scores."""
    return roc_auc(rows.windows.scores, rows.windows.labels)


def window_pr_auc(rows: EvaluatedRows) -> float:
    """Returns the average precision of the windows' scores."""
    return pr_auc(rows.windows.scores, rows.windows.labels)


def best_window(rows: EvaluatedRows) -> float:
    """Returns the highest F1 of windows of any threshold."""
    return float(sweep(rows.windows.scores, rows.windows.labels).f1.max())
