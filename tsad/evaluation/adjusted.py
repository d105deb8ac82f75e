"""Adjusted points: a labeled segment with enough flags counts as flagged throughout.

Point adjustment rewards chance: at its best threshold a random score gets a point-adjusted F1 of 0.7 on SMD, mean over
machines, because a long segment is all but sure to hold one row above any threshold (Kim et al., AAAI 2022). No number of
this file is shown without that of a random score on the same labels.
"""

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.series import runs

PERCENTAGES = range(101)
"""K of PA%K: a segment is adjusted if more than this percentage of its rows is flagged."""


def adjust(flags: Flags, labels: Flags) -> Flags:
    """Returns (T,) flags in which every labeled segment with any flag is flagged throughout (Xu et al., WWW 2018).

    Flags of normal rows stay as they are. TSB-AD 1.5 differs in one row: where a segment begins at row 0 and its first
    flag comes later, it leaves row 0 without a flag.
    """
    adjusted = flags.copy()
    for start, stop in runs(labels):
        adjusted[start:stop] = flags[start:stop].any()
    return adjusted


def adjusted_f1(flags: Flags, labels: Flags) -> float:
    """Returns the F1 of adjusted flags, 0 if no row is flagged or none is anomalous; a random score can get 0.7 on SMD."""
    return precision_recall_f1(adjust(flags, labels), labels)[2]


def pa_k_curve(flags: Flags, labels: Flags) -> Floats:
    """Returns (101,) the F1 after adjusting segments of which more than K % is flagged, for K = 0, 1, ..., 100.

    PA%K of Kim et al. (AAAI 2022). By their "more than", K = 0 is the point-adjusted F1 and K = 100 the plain one. The
    curve never rises; it is 0 throughout if no row is flagged or none is anomalous.
    """
    counts = [(stop - start, flags[start:stop].sum()) for start, stop in runs(labels)]
    lengths, flagged = np.array(counts, np.int64).reshape(-1, 2).T
    tipped = 100 * flagged > np.array(PERCENTAGES)[:, None] * lengths
    hits = np.where(tipped, lengths, flagged).sum(axis=1)
    false, anomalous = int((flags & ~labels).sum()), int(labels.sum())
    curve: Floats = 2 * hits / np.maximum(hits + false + anomalous, 1)
    return curve


def pa_k_area(flags: Flags, labels: Flags) -> float:
    """Returns the area under `pa_k_curve` over K / 100, by trapezoids; it lies between the plain F1 and the adjusted one."""
    return _area(pa_k_curve(flags, labels))


def best_adjusted_f1(scores: Floats, labels: Flags) -> float:
    """Returns the highest point-adjusted F1 of any threshold, an oracle since labels choose the threshold; of chance, 0.7 on SMD.

    Exact over all unique scores in O(T log T). TSB-AD tries 100 thresholds in equal steps from the smallest score to the
    largest instead; where a few scores are huge, none of these lies among the others, and the result is far too low.

    Args:
        scores: (T,) without NaN; a threshold flags the scores at and above it.
        labels: (T,); the result is 0 if no row is anomalous.
    """
    return float(_best_curve(scores, labels, PERCENTAGES[:1])[0])


def best_pa_k_area(scores: Floats, labels: Flags) -> float:
    """Returns the area over K / 100 of the highest F1 after adjusting, each K at its own best threshold (Kim et al.).

    An oracle, exact over all unique scores: it sorts the T scores once, and the anomalous ones once for each K.

    Args:
        scores: (T,) without NaN; a threshold flags the scores at and above it.
        labels: (T,); the result is 0 if no row is anomalous.
    """
    return _area(_best_curve(scores, labels, PERCENTAGES))


def _best_curve(scores: Floats, labels: Flags, percentages: range) -> Floats:
    """Returns the highest F1 of any threshold for each of the percentages.

    A threshold costs the normal rows that it flags, and only thresholds at anomalous rows can be best. The row that tips its
    segment brings in all rows of lower scores, so that none of these costs more than it does.
    """
    anomalous = int(labels.sum())
    if not anomalous:
        return np.zeros(len(percentages))
    normal = np.sort(scores[~labels])
    costs = [  # by segment, from its highest score down
        len(normal) - np.searchsorted(normal, np.sort(scores[start:stop])[::-1]) for start, stop in runs(labels)
    ]
    hits = np.arange(1, anomalous + 1)
    best = []
    for percentage in percentages:
        tipping = [min(percentage * len(cost) // 100, len(cost) - 1) for cost in costs]
        false = np.sort(np.concatenate([np.minimum(cost, cost[row]) for cost, row in zip(costs, tipping, strict=True)]))
        best.append((2 * hits / (hits + false + anomalous)).max())
    return np.array(best)


def _area(curve: Floats) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
