"""Affiliation: how much nearer flags and events are than chance would have it."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats
from tsad.evaluation.events import Descent, Rows, descend, harmonic_mean, labeled_events, nearest_higher


class Affiliation(NamedTuple):
    """Means over the zones of events, each between 0 and 1.

    Attributes:
        precision: How near to the event the flags of its zone are; a zone without a flag has none and is left out.
        recall: How near to a flag of its zone the event is; 0 for a zone without a flag.
        f1: Their harmonic mean, 0 where both are.
    """

    precision: float
    recall: float
    f1: float


def affiliation(flags: Flags, labels: Flags) -> Affiliation:
    """Returns the affiliation metrics of Huet et al. (KDD 2022), on the time axis where row i is [i, i + 1).

    The zone of an event is what lies nearer to it than to any other. Nearness is the probability that a point drawn evenly
    from the zone is no nearer: 1 inside of the event (or flag), and piecewise linear outside, so every integral is closed.
    Equal to TSB-AD's Affiliation-F. No flag at all leaves precision undefined (NaN in TSB-AD); we take 0, since F1 is 0 by
    recall whatever precision were.

    Args:
        flags: (T,).
        labels: (T,) with at least one True.

    Raises:
        ValueError: if no row is labeled, so that there are no zones.
    """
    precision, recall = _sweep(flags.astype(np.float64), labels)
    if not flags.any():
        return Affiliation(0.0, 0.0, 0.0)
    return Affiliation(float(precision[0]), float(recall[0]), float(harmonic_mean(precision, recall)[0]))


def best_affiliation_f1(scores: Floats, labels: Flags) -> float:
    """Returns the highest F1 of `affiliation` over all unique scores, an oracle, in O(T log T).

    Flags everywhere have a precision of about 1/2 and a recall of 1, so that no score gets less than about 2/3.

    Args:
        scores: (T,) without NaN.
        labels: (T,) with at least one True.

    Raises:
        ValueError: if no row is labeled.
    """
    return float(harmonic_mean(*_sweep(scores, labels)).max())


class _Zones(NamedTuple):
    """Of each half row: the event next to it, and the zone of that event, all counted in half rows."""

    start: Floats
    stop: Floats
    left: Floats
    right: Floats


def _sweep(scores: Floats, labels: Flags) -> tuple[Floats, Floats]:
    """Returns (K,) precision and (K,) recall of flagging the rows at or above each unique score, highest first.

    Rows are cut in halves, because a zone may end in the middle of one. The halves get their flags one after the other, and
    the cumulative sum of what each adds has every threshold.
    """
    starts, stops = 2 * np.array(labeled_events(labels)).T
    borders = np.concatenate([[0], (stops[:-1] + starts[1:]) // 2, [2 * len(scores)]])
    columns = np.array([starts, stops, borders[:-1], borders[1:]], dtype=np.float64)
    zones = _Zones(*np.repeat(columns, np.diff(borders), axis=1))
    descent = descend(np.repeat(scores, 2))
    precision = _precision(zones, borders, descent)
    recall = _caught(zones, descent)[descent.order].cumsum() / len(starts)
    return precision[descent.ends], np.minimum(recall[descent.ends], 1)  # a long sum may be a rounding error above


def _precision(zones: _Zones, borders: Rows, descent: Descent) -> Floats:
    """Returns the mean over zones of the mean nearness of their flags, after each half row of the descent."""
    nearness = _nearness(zones)
    gained, entered = np.zeros_like(nearness), np.zeros_like(nearness)
    for left, right in pairwise(borders):
        ranks = np.sort(descent.rank[left:right])
        means = nearness[descent.order[ranks]].cumsum() / np.arange(1, len(ranks) + 1)
        gained[ranks] = np.diff(means, prepend=0)
        entered[ranks[0]] = 1
    mean: Floats = gained.cumsum() / entered.cumsum()
    return mean


def _nearness(zones: _Zones) -> Floats:
    """Returns the share of its zone that is no nearer to the event than a half row, which is 1 inside of the event.

    It is linear over a half row, so that the value in the middle is the mean.
    """
    middle = np.arange(len(zones.start)) + 0.5
    distance = np.maximum(zones.start - middle, middle - zones.stop)
    narrow_side = np.minimum(zones.start - zones.left, zones.right - zones.stop)
    nearer = zones.stop - zones.start + np.minimum(distance, narrow_side) + distance
    return np.where(distance > 0, 1 - nearer / (zones.right - zones.left), 1)


def _caught(zones: _Zones, descent: Descent) -> Floats:
    """Returns what the flag of each half row adds to the recall of its zone.

    The flag cuts the gap between the flags before and after it in two. A border of the zone is no flag: where there is none
    on a side, one is put so far away that it misses all.
    """
    halves = np.arange(len(zones.start), dtype=np.float64)
    before, after = nearest_higher(-descent.rank[::2])  # of rows; the first half of a row is flagged before the second
    stop = np.stack([2 * before + 2, halves[1::2]], axis=1).ravel()
    start = np.repeat(2.0 * after, 2)
    stop = np.where(stop > zones.left, stop, -len(halves))
    start = np.where(start < zones.right, start, 2 * len(halves))
    missed = _missed(stop, start, zones) - _missed(stop, halves, zones) - _missed(halves + 1, start, zones)
    return missed / ((zones.right - zones.left) * (zones.stop - zones.start))


def _missed(stop: Floats, start: Floats, zones: _Zones) -> Floats:
    """Returns, for a gap between flags, the integral over its part of the event of the length nearer than the next flag."""
    low, middle, high = (np.clip(position, zones.start, zones.stop) for position in (stop, (stop + start) / 2, start))
    whole = zones.right - zones.left

    def nearer(distance: Floats, reach: Floats) -> Floats:
        """Integral from 0: a point at distance d of a flag has 2 d nearer, up to the border of the zone beyond it."""
        bent = np.minimum(distance, np.minimum(reach, whole) / 2)
        return bent * (2 * distance - bent)

    behind, ahead = zones.right - stop, start - zones.left
    return (
        nearer(middle - stop, behind)
        - nearer(low - stop, behind)
        + nearer(start - middle, ahead)
        - nearer(start - high, ahead)
    )
