"""A report: what the scores and flags of some rows are worth, and whose labels had a hand in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.adjusted import adjusted_f1, best_adjusted_f1, pa_k_area
from tsad.evaluation.affiliation import affiliation, best_affiliation_f1
from tsad.evaluation.events import best_event_f1, detection_delays, event_scores, false_alarms
from tsad.evaluation.pointwise import pr_auc, precision_recall_f1, roc_auc
from tsad.evaluation.ranges import best_range_f1, range_scores
from tsad.evaluation.volume import volume_under_surface
from tsad.evaluation.windowed import to_windows
from tsad.provenance import LabelsUsed
from tsad.sweep import sweep

WINDOW, STRIDE = 128, 32
"""Of the window-level metrics: those of the most quoted results on SMD."""


@dataclass(frozen=True)
class Report:
    """Metrics of one set of rows.

    Attributes:
        metrics: By name. `ranking/...` need scores alone. `oracle/...`: a label of these very rows chose the threshold.
            `deployable/f1` is there only if none did. `point/`, `event/`, `range/`, `affiliation/`, `point_adjusted/`, `pa_k/`
            and `operation/` are those of the detector's own flags; `window/...` those of windows, which no row-level number
            compares with. `ratio/...` are shares of rows, `rows/...` counts.
        undefined: Reason by name of each metric that these rows do not define; such a metric is absent, never 0.
    """

    metrics: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    scores: Floats,
    flags: Flags | None,
    labels: Flags | None,
    *,
    threshold_from: LabelsUsed = "nothing",
    rows_per_day: float | None = None,
) -> Report:
    """Returns the report of rows; rows without a score take no part, and are counted as `rows/unscored`.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,) at a threshold chosen beforehand, or None if there is no such threshold.
        labels: (T,), or None if nobody knows.
        threshold_from: Whose labels had a hand in the flags; with "test" they are an oracle, and nothing is deployable.
        rows_per_day: How many rows a day has, for false alarms per day; None where nobody knows.
    """
    known = ~np.isnan(scores)
    metrics = {"rows/scored": float(known.sum()), "rows/unscored": float((~known).sum())}
    flagged = None if flags is None else flags[known]
    if flagged is not None and len(flagged):
        metrics["ratio/predicted"] = float(flagged.mean())
    if labels is None or not known.any():
        reason = "no labels" if labels is None else "no row has a score"
        return Report(metrics, dict.fromkeys((*_RANKINGS, *_FLAG_METRICS, "deployable/f1"), reason))
    truth, values = labels[known], scores[known]
    metrics["ratio/true"] = float(truth.mean())
    undefined: dict[str, str] = {}
    if truth.all() or not truth.any():
        reason = f"all {len(truth)} rows are {'anomalous' if truth.all() else 'normal'}"
        undefined |= dict.fromkeys(_RANKINGS, reason)
    else:
        metrics |= of_scores(values, truth)
    if flagged is None:
        undefined |= dict.fromkeys((*_FLAG_METRICS, "deployable/f1"), "no threshold was given")
    elif not truth.any():
        undefined |= dict.fromkeys((*_FLAG_METRICS, "deployable/f1"), f"all {len(truth)} rows are normal")
        metrics |= _alarms(flagged, truth, rows_per_day)
    else:
        metrics |= of_flags(flagged, truth) | _alarms(flagged, truth, rows_per_day)
        if threshold_from == "test":
            undefined["deployable/f1"] = "labels of these rows chose the flags"
        else:
            metrics["deployable/f1"] = metrics["point/f1"]
    if len(values) >= WINDOW:
        metrics |= _of_windows(values, truth, flagged)
    if "window/pr_auc" not in metrics:
        undefined["window/pr_auc"] = f"{len(values)} scored rows do not hold windows of {WINDOW} rows of both kinds"
    return Report(metrics, undefined)


def of_scores(scores: Floats, labels: Flags) -> dict[str, float]:
    """Returns `ranking/...` and `oracle/...` of rows of both kinds."""
    volume = volume_under_surface(scores, labels)
    swept = sweep(scores, labels)
    best = {
        f"oracle/best_{name.removesuffix('s')}": float(getattr(swept, name)[swept.best])
        for name in ("precision", "recall", "f1", "thresholds")
    }
    rankings = {
        "ranking/roc_auc": roc_auc(scores, labels),
        "ranking/pr_auc": pr_auc(scores, labels),
        "ranking/vus_roc": volume.roc,
        "ranking/vus_pr": volume.pr,
    }
    return rankings | best | {name: metric(scores, labels) for name, metric in _ORACLES.items()}


def of_flags(flags: Flags, labels: Flags) -> dict[str, float]:
    """Returns the metrics of flags on rows of which at least one is anomalous."""
    metrics: dict[str, float] = {}
    for kind, scored in (
        ("point", precision_recall_f1(flags, labels)),
        ("event", event_scores(flags, labels)),
        ("affiliation", affiliation(flags, labels)),
        ("range", range_scores(flags, labels)),
    ):
        metrics |= {f"{kind}/{name}": value for name, value in zip(("precision", "recall", "f1"), scored, strict=True)}
    metrics |= {"point_adjusted/f1": adjusted_f1(flags, labels), "pa_k/area": pa_k_area(flags, labels)}
    delays = detection_delays(flags, labels)
    return metrics | ({"operation/delay_rows": float(np.median(delays))} if len(delays) else {})


def _alarms(flags: Flags, labels: Flags, rows_per_day: float | None) -> dict[str, float]:
    """Returns how many flagged stretches touch no anomaly, in all and per day of normal rows."""
    count, normal = false_alarms(flags, labels), int((~labels).sum())
    per_day = {"operation/false_alarms_per_day": count * rows_per_day / normal} if rows_per_day and normal else {}
    return {"operation/false_alarms": float(count)} | per_day


def _of_windows(scores: Floats, labels: Flags, flags: Flags | None) -> dict[str, float]:
    windows = to_windows(scores, labels, flags, length=WINDOW, stride=STRIDE)
    metrics = {"window/ratio": float(windows.labels.mean())}
    if windows.flags is not None and windows.labels.any():
        metrics["window/f1"] = precision_recall_f1(windows.flags, windows.labels)[2]
    if windows.labels.any() and not windows.labels.all():
        metrics["window/roc_auc"] = roc_auc(windows.scores, windows.labels)
        metrics["window/pr_auc"] = pr_auc(windows.scores, windows.labels)
        metrics["oracle/best_window_f1"] = float(sweep(windows.scores, windows.labels).f1.max())
    return metrics


_ORACLES: Mapping[str, Callable[[Floats, Flags], float]] = {
    "oracle/best_event_f1": best_event_f1,
    "oracle/best_affiliation_f1": best_affiliation_f1,
    "oracle/best_range_f1": best_range_f1,
    "oracle/best_point_adjusted_f1": best_adjusted_f1,
}
_RANKINGS = ("ranking/roc_auc", "ranking/pr_auc", "ranking/vus_roc", "ranking/vus_pr", "oracle/best_f1", *_ORACLES)
_FLAG_METRICS = ("point/f1", "event/f1", "affiliation/f1", "range/f1", "point_adjusted/f1", "pa_k/area")
