"""Metrics by anomaly type: which types of anomalies scores and flags detect."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.pointwise import pr_auc


class AnomalyTypeScores(NamedTuple):
    """Metrics of scores and flags on the anomalies of one anomaly type.

    Attributes:
        anomaly_type: Name of the anomaly type.
        events: Number of events of the type with a scored row; if it is 0, all fractions below are None.
        rows: Number of scored rows of the type; a row of two types counts for both.
        detected: Fraction of the events with a flagged row; None without flags.
        recall: Fraction of the rows that are flagged; None without flags.
        pr_auc: PR-AUC of the rows against all scored normal rows; None if there is no normal row.
        chance: PR-AUC of a random score, which is the fraction of the rows among those; None if there is no normal row.
    """

    anomaly_type: str
    events: int
    rows: int
    detected: float | None
    recall: float | None
    pr_auc: float | None
    chance: float | None


def by_anomaly_type(
    scores: Floats, flags: Flags | None, labels: Flags, typed_events: Sequence[tuple[int, int, str]]
) -> tuple[AnomalyTypeScores, ...]:
    """Returns the metrics of each anomaly type, the one with the most rows first; types without a row here are left out.

    Rows of other anomaly types take no part: they are neither hits nor false alarms.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,), or None if there is no threshold.
        labels: (T,), True in every row of an anomaly type.
        typed_events: First row, row after the last, and anomaly type of each event; what lies outside of the T rows is cut off.
    """
    scored_rows = ~np.isnan(scores)
    events: dict[str, list[slice]] = {}
    for start, stop, name in typed_events:
        rows = slice(max(start, 0), max(stop, 0))
        if len(scored_rows[rows]):
            events.setdefault(name, []).extend([rows] if scored_rows[rows].any() else [])
    results = [_of_anomaly_type(name, rows, scores, flags, labels) for name, rows in events.items()]
    return tuple(sorted(results, key=lambda scored: (-scored.rows, scored.anomaly_type)))


def _of_anomaly_type(
    name: str, events: Sequence[slice], scores: Floats, flags: Flags | None, labels: Flags
) -> AnomalyTypeScores:
    scored_rows, inside = ~np.isnan(scores), np.zeros(len(scores), bool)
    for rows in events:
        inside[rows] = scored_rows[rows]
    if not events:
        return AnomalyTypeScores(name, 0, 0, None, None, None, None)
    normal = scored_rows & ~labels
    judged = inside | normal
    return AnomalyTypeScores(
        anomaly_type=name,
        events=len(events),
        rows=int(inside.sum()),
        detected=None if flags is None else float(np.mean([flags[rows].any() for rows in events])),
        recall=None if flags is None else float(flags[inside].mean()),
        pr_auc=pr_auc(scores[judged], inside[judged]) if normal.any() else None,
        chance=float(inside[judged].mean()) if normal.any() else None,
    )
