"""Which kinds of anomalies are found: what scores and flags are worth on the rows of each kind."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.pointwise import pr_auc


class KindScores(NamedTuple):
    """What scores and flags are worth on the anomalies of one kind.

    Attributes:
        kind: Its name.
        events: Of the kind, those with a scored row; 0 if none has one, and then all below are None.
        rows: Scored rows of the kind; a row of two kinds counts for both.
        found: Share of the events with a flagged row; None without flags.
        recall: Share of the rows that are flagged; None without flags.
        pr_auc: Of the rows against all scored normal rows; None if there is no normal row.
        chance: PR-AUC of a random score, which is the share of the rows among those; None likewise.
    """

    kind: str
    events: int
    rows: int
    found: float | None
    recall: float | None
    pr_auc: float | None
    chance: float | None


def by_kind(
    scores: Floats, flags: Flags | None, labels: Flags, kinds: Sequence[tuple[int, int, str]]
) -> tuple[KindScores, ...]:
    """Returns what each kind comes to, the one with the most rows first; kinds that have no row here are left out.

    Rows of other kinds take no part: they are neither hits nor false alarms.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,), or None if there is no threshold.
        labels: (T,), True in every row of a kind.
        kinds: First row, row after the last, and kind of each event; what lies outside of the T rows is cut off.
    """
    known = ~np.isnan(scores)
    events: dict[str, list[slice]] = {}
    for start, stop, name in kinds:
        rows = slice(max(start, 0), max(stop, 0))
        if len(known[rows]):
            events.setdefault(name, []).extend([rows] if known[rows].any() else [])
    found = [_of_kind(name, each, scores, flags, labels) for name, each in events.items()]
    return tuple(sorted(found, key=lambda kind: (-kind.rows, kind.kind)))


def _of_kind(name: str, events: Sequence[slice], scores: Floats, flags: Flags | None, labels: Flags) -> KindScores:
    known, inside = ~np.isnan(scores), np.zeros(len(scores), bool)
    for rows in events:
        inside[rows] = known[rows]
    if not events:
        return KindScores(name, 0, 0, None, None, None, None)
    normal = known & ~labels
    judged = inside | normal
    return KindScores(
        kind=name,
        events=len(events),
        rows=int(inside.sum()),
        found=None if flags is None else float(np.mean([flags[rows].any() for rows in events])),
        recall=None if flags is None else float(flags[inside].mean()),
        pr_auc=pr_auc(scores[judged], inside[judged]) if normal.any() else None,
        chance=float(inside[judged].mean()) if normal.any() else None,
    )
