"""Which anomaly types of anomalies are found: what scores and flags are worth on the rows of each anomaly type."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.pointwise import pr_auc


class AnomalyTypeScores(NamedTuple):
    """What scores and flags are worth on the anomalies of one anomaly type.

    Attributes:
        anomaly_type: Name of the anomaly type.
        events: Of the anomaly type, those with a scored row; 0 if none has one, and then all below are None.
        rows: Scored rows of the anomaly type; a row of two anomaly types counts for both.
        found: Share of the events with a flagged row; None without flags.
        recall: Share of the rows that are flagged; None without flags.
        pr_auc: Of the rows against all scored normal rows; None if there is no normal row.
        chance: PR-AUC of a random score, which is the share of the rows among those; None likewise.
    """

    anomaly_type: str
    events: int
    rows: int
    found: float | None
    recall: float | None
    pr_auc: float | None
    chance: float | None


def by_anomaly_type(
    scores: Floats, flags: Flags | None, labels: Flags, typed_events: Sequence[tuple[int, int, str]]
) -> tuple[AnomalyTypeScores, ...]:
    """Returns what each anomaly type comes to, the one with the most rows first; anomaly types that have no row here are left out.

    Rows of other anomaly types take no part: they are neither hits nor false alarms.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,), or None if there is no threshold.
        labels: (T,), True in every row of a anomaly type.
        typed_events: First row, row after the last, and anomaly type of each event; what lies outside of the T rows is cut off.
    """
    known = ~np.isnan(scores)
    events: dict[str, list[slice]] = {}
    for start, stop, name in typed_events:
        rows = slice(max(start, 0), max(stop, 0))
        if len(known[rows]):
            events.setdefault(name, []).extend([rows] if known[rows].any() else [])
    found = [_of_anomaly_type(name, each, scores, flags, labels) for name, each in events.items()]
    return tuple(sorted(found, key=lambda scored: (-scored.rows, scored.anomaly_type)))


def _of_anomaly_type(
    name: str, events: Sequence[slice], scores: Floats, flags: Flags | None, labels: Flags
) -> AnomalyTypeScores:
    known, inside = ~np.isnan(scores), np.zeros(len(scores), bool)
    for rows in events:
        inside[rows] = known[rows]
    if not events:
        return AnomalyTypeScores(name, 0, 0, None, None, None, None)
    normal = known & ~labels
    judged = inside | normal
    return AnomalyTypeScores(
        anomaly_type=name,
        events=len(events),
        rows=int(inside.sum()),
        found=None if flags is None else float(np.mean([flags[rows].any() for rows in events])),
        recall=None if flags is None else float(flags[inside].mean()),
        pr_auc=pr_auc(scores[judged], inside[judged]) if normal.any() else None,
        chance=float(inside[judged].mean()) if normal.any() else None,
    )
