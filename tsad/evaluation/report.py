"""A report: the metrics of some rows, and the reason for each one that these rows do not define."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.registry import METRICS
from tsad.evaluation.rows import EvaluatedRows, Needs
from tsad.provenance import LabelsUsed


@dataclass(frozen=True)
class Report:
    """Metrics of one set of rows.

    Attributes:
        metrics: Values by name. `ranking/...` need scores only. `oracle/...`: labels of these very rows chose the threshold.
            `deployable/f1` is present only if they did not. `point/`, `event/`, `range/`, `affiliation/`, `point_adjusted/`,
            `pa_k/` and `operation/` are those of the detector's own flags; `window/...` are those of windows and must not be
            compared with metrics of rows. `ratio/...` are fractions of rows, `rows/...` counts.
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
    """Returns the report of rows, with every metric of the registry that the rows define.

    Rows without a score take no part and are counted as `rows/unscored`.

    Args:
        scores: (T,) scores, NaN where there is none.
        flags: (T,) flags at a threshold that was chosen beforehand, or None if there is no such threshold.
        labels: (T,) labels, or None if they are unknown.
        threshold_from: Rows whose labels chose the threshold; with "test" the flags are an oracle, and nothing is deployable.
        rows_per_day: Number of rows in a day, for false alarms per day; None if it is unknown.
    """
    scored = ~np.isnan(scores)
    rows = EvaluatedRows(
        scores=scores[scored],
        flags=None if flags is None else flags[scored],
        labels=None if labels is None else labels[scored],
        threshold_from=threshold_from,
        rows_per_day=rows_per_day,
        unscored=int((~scored).sum()),
    )
    unlabeled = rows.missing("labels") is not None  # windows of unlabeled rows are not worth a reason of their own
    undefined = {
        metric.name: reason
        for metric in METRICS
        if metric.explained
        and (reason := rows.missing(metric.needs)) is not None
        and not (unlabeled and metric.needs.startswith("window"))
    }
    return Report(_computed(rows), undefined)


def of_scores(scores: Floats, labels: Flags) -> dict[str, float]:
    """Returns the metrics that need scores only, oracles included, of rows with labels of both classes."""
    return _computed(EvaluatedRows(scores, None, labels), {"ranking"})


def of_flags(flags: Flags, labels: Flags) -> dict[str, float]:
    """Returns the metrics of flags on rows of which at least one is anomalous."""
    return _computed(EvaluatedRows(flags.astype(np.float64), flags, labels), {"detection"})


def _computed(rows: EvaluatedRows, needs: Collection[Needs] | None = None) -> dict[str, float]:
    values = {
        metric.name: metric.function(rows)
        for metric in METRICS
        if (needs is None or metric.needs in needs) and rows.missing(metric.needs) is None
    }
    return {name: value for name, value in values.items() if value is not None}
