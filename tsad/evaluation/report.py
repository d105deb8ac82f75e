"""A report: what the scores and flags of some rows are worth, and whose labels had a hand in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tsad.evaluation.pointwise import pr_auc, precision_recall_f1, roc_auc
from tsad.sweep import sweep


@dataclass(frozen=True)
class Report:
    """Metrics of one set of rows.

    Attributes:
        metrics: By name: `point/...` (flags at the given level), `ranking/...` (scores alone), `oracle/...` (a label of
            these very rows chose the level), `ratio/...` (shares of rows), `rows/...` (counts).
        undefined: Reason by name of each metric that these rows do not define; such a metric is absent, never 0.
    """

    metrics: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)


def evaluate(scores: NDArray[np.float64], flags: NDArray[np.bool_] | None, labels: NDArray[np.bool_] | None) -> Report:
    """Returns the report of rows; rows without a score take no part, and are counted as `rows/unscored`.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,) at a level chosen beforehand, or None if there is no such level.
        labels: (T,), or None if nobody knows.
    """
    known = ~np.isnan(scores)
    metrics = {"rows/scored": float(known.sum()), "rows/unscored": float((~known).sum())}
    undefined: dict[str, str] = {}
    flagged = None if flags is None else flags[known]
    if flagged is not None and len(flagged):
        metrics["ratio/predicted"] = float(flagged.mean())
    if labels is None or not known.any():
        reason = "no labels" if labels is None else "no row has a score"
        return Report(
            metrics, dict.fromkeys(("point/f1", "oracle/best_f1", "ranking/roc_auc", "ranking/pr_auc"), reason)
        )
    truth, values = labels[known], scores[known]
    metrics["ratio/true"] = float(truth.mean())
    if flagged is None:
        undefined["point/f1"] = "no threshold was given"
    else:
        point = precision_recall_f1(flagged, truth)
        metrics |= {f"point/{name}": value for name, value in zip(("precision", "recall", "f1"), point, strict=True)}
    if truth.all() or not truth.any():
        reason = f"all {len(truth)} rows are {'anomalous' if truth.all() else 'normal'}"
        undefined |= dict.fromkeys(("oracle/best_f1", "ranking/roc_auc", "ranking/pr_auc"), reason)
        return Report(metrics, undefined)
    metrics |= {"ranking/roc_auc": roc_auc(values, truth), "ranking/pr_auc": pr_auc(values, truth)}
    swept = sweep(values, truth)
    for name in ("precision", "recall", "f1", "levels"):
        metrics[f"oracle/best_{name.removesuffix('s')}"] = float(getattr(swept, name)[swept.best])
    return Report(metrics, undefined)
