"""Range-based precision and recall: segments against segments, with a price for fragmentation."""

from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.events import Rows, descend, harmonic_mean, labeled_events, nearest_higher


class RangeScores(NamedTuple):
    """Means over segments, each between 0 and 1.

    Attributes:
        precision: Mean over flagged segments of (share of labeled rows) / (events touched); 0 if none is flagged.
        recall: Mean over events of `existence` if one row is flagged, and of 1 - `existence` times (share of flagged rows)
            / (flagged segments that touch it).
        f1: Their harmonic mean, 0 where both are.
    """

    precision: float
    recall: float
    f1: float


def range_scores(flags: Flags, labels: Flags, existence: float = 0.2) -> RangeScores:
    """Returns range-based precision and recall: Tatbul et al. (NeurIPS 2018), flat bias, cardinality factor 1/x.

    `existence` is alpha of the paper; precision has none, as there. Equal to TSB-AD's R-based-F1 at its 0.2, with two
    exceptions: TSB-AD 1.5 finds no segment where every row is flagged (or labeled) and so gives 0, and it misreads bool
    arrays, of which numpy makes differences that are never -1.

    Args:
        flags: (T,).
        labels: (T,) with at least one True.
        existence: From 0 to 1, reward of an event for a single flagged row.

    Raises:
        ValueError: if no row is labeled.
    """
    precision, recall = _sweep(flags.astype(np.float64), labels, existence)
    if not flags.any():
        return RangeScores(0.0, 0.0, 0.0)
    return RangeScores(float(precision[0]), float(recall[0]), float(harmonic_mean(precision, recall)[0]))


def best_range_f1(scores: Floats, labels: Flags) -> float:
    """Returns the highest F1 of `range_scores` over all unique scores, an oracle, in O(T log T).

    Args:
        scores: (T,) without NaN.
        labels: (T,) with at least one True.

    Raises:
        ValueError: if no row is labeled.
    """
    return float(harmonic_mean(*_sweep(scores, labels, existence=0.2)).max())


def _sweep(scores: Floats, labels: Flags, existence: float) -> tuple[Floats, Floats]:
    """Returns (K,) precision and (K,) recall of flagging the rows at or above each unique score, highest first.

    Rows get their flag one after the other. It makes a new segment, prolongs one, or joins two; what each of the sums gains
    by that follows from the nearest rows without a flag, so that the cumulative sum of the gains has every threshold.
    """
    starts, stops = np.array(labeled_events(labels)).T
    order, rank, ends = descend(scores)
    before, after = nearest_higher(rank)
    rows, first = np.arange(len(order)), before + 1
    left, right = (first < rows).astype(int), (rows + 1 < after).astype(int)  # 1 where a flag is already beside
    labeled = np.append(0, labels.cumsum())

    def rewards(start: Rows, stop: Rows) -> Floats:
        events = np.searchsorted(starts, stop) - np.searchsorted(stops, start, side="right")
        means: Floats = (labeled[stop] - labeled[start]) / np.maximum((stop - start) * events, 1)
        return means

    gained = rewards(first, after) - rewards(first, rows) - rewards(rows + 1, after)
    precision = gained[order].cumsum() / (1 - left - right)[order].cumsum()

    caught = np.zeros(len(order))
    chunks = 1 - left * np.roll(labels, 1) - right * np.roll(labels, -1)  # of events, not of flagged segments
    for start, stop in zip(starts, stops, strict=True):
        ranks = np.sort(rank[start:stop])
        share = np.arange(1, len(ranks) + 1) / len(ranks)
        caught[ranks] = np.diff(existence + (1 - existence) * share / chunks[order[ranks]].cumsum(), prepend=0)
    recall = caught.cumsum() / len(starts)
    return precision[ends], np.minimum(recall[ends], 1)  # a long sum may be a rounding error above
