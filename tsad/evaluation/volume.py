"""Volume under the surface: areas under ROC and PR curves, averaged over buffers of growing length around each segment."""

from typing import NamedTuple

import numpy as np

from tsad.arrays import Flags, Floats, Integers
from tsad.series import runs


class Volume(NamedTuple):
    """Both volumes, each from 0 to 1.

    Attributes:
        roc: VUS-ROC; a random score gets more than 0.5 (0.65 on SMD), since it nearly always meets a buffer somewhere.
        pr: VUS-PR; a random score gets about the anomaly ratio, buffers included.
    """

    roc: float
    pr: float


def volume_under_surface(scores: Floats, labels: Flags, buffer: int = 100, thresholds: int = 250) -> Volume:
    """Returns VUS-ROC and VUS-PR (Paparrizos et al., VLDB 2022): a flag a little early or late is partly right.

    For each buffer length from 0 to `buffer`, the normal rows up to half of it away from a segment get a label between 0
    and 1 that falls with the distance, and an area is taken over the thresholds; the volume is the mean of the areas.

    The numbers are those of TSB-AD 1.5 (`generate_curve`, version "opt"), and so is what they rest on: only the flagged
    rows of a buffer count among the positives; where buffers overlap their labels add up, to 1 at most; the recall is
    multiplied by the fraction of detected segments, for which segments whose buffers share a row are one; and a buffer is cut
    off at the first and the last row.

    Time is that of sorting T scores, and of `buffer` times the rows in buffers; thresholds cost next to nothing.

    Args:
        scores: (T,) without NaN; only their order matters, and equal scores are flagged together.
        labels: (T,) with normal and anomalous rows.
        buffer: Longest buffer in rows, both sides together, from 0; 0 and 1 leave the segments as they are.
        thresholds: Number of scores taken as thresholds, evenly spaced by rank, both extremes included; at and above one
            a row is flagged.

    Raises:
        ValueError: if one kind of rows is missing, or `buffer` or `thresholds` is too small.
    """
    if labels.all() or not labels.any():
        raise ValueError(
            f"a volume needs normal and anomalous rows, but {int(labels.sum())} of {len(labels)} rows are anomalous; "
            f"evaluate rows of both kinds"
        )
    if buffer < 0 or thresholds < 2:
        raise ValueError(
            f"buffer must be at least 0 and thresholds at least 2, but got {buffer} and {thresholds}; customary are 100 and 250"
        )
    misses = _thresholds_missed(scores, thresholds)
    flagged, hits = _reached(misses, thresholds), _reached(misses[labels], thresholds)
    segments = np.array(runs(labels))
    soft = _soft_hits(misses, segments, buffer, thresholds)
    positives = labels.sum() + soft / 2
    recall = np.minimum((hits + soft) / positives, 1.0) * _segments_found(misses, segments, buffer, thresholds)
    fall_out = (flagged - hits - soft) / (len(labels) - positives)
    ends = ((0, 0), (1, 1))  # no row is flagged; soft labels would end the curve before (1, 1)
    roc = np.trapezoid(np.pad(recall, ends, constant_values=(0, 1)), np.pad(fall_out, ends, constant_values=(0, 1)))
    pr = (np.diff(recall, prepend=0.0) * (hits + soft) / flagged).sum(axis=1)
    return Volume(float(roc.mean()), float(pr.mean()))


def _thresholds_missed(scores: Floats, thresholds: int) -> Integers:
    """Returns (T,) how many of the thresholds each row lies below: the index, from the highest, of the first that flags it."""
    ranks = np.linspace(0, len(scores) - 1, thresholds).astype(np.int64)  # from the highest score down
    ascending = np.sort(scores)[len(scores) - 1 - ranks][::-1]
    return thresholds - np.searchsorted(ascending, scores, side="right")


def _reached(misses: Integers, thresholds: int, weights: Floats | None = None) -> Floats:
    """Returns (thresholds,) the number, or the weight, of what is flagged at each threshold."""
    return np.bincount(misses, weights, minlength=thresholds).cumsum(dtype=np.float64)


def _soft_hits(misses: Integers, segments: Integers, buffer: int, thresholds: int) -> Floats:
    """Returns (buffer + 1, thresholds) the soft labels of flagged normal rows, summed."""
    rows, near, second = _near(segments, len(misses), buffer // 2)
    misses = misses[rows]
    sums = np.zeros((buffer + 1, thresholds))
    for length in range(2, buffer + 1):
        soft = np.sqrt(np.maximum(1 - near / length, 0)) * (near <= length // 2)
        soft[second <= length // 2] = 1  # the sum of two labels of at least sqrt(1/2)
        sums[length] = _reached(misses, thresholds, soft)
    return sums


def _near(segments: Integers, count: int, reach: int) -> tuple[Integers, Floats, Floats]:
    """Returns the normal rows of `count` at most `reach` from a segment, and how far the two nearest segments are."""
    starts, ends = segments[:, 0], segments[:, 1] - 1
    distances = np.arange(1, reach + 1)[:, None]
    rows = np.unique(np.concatenate([starts - distances, ends + distances]))
    rows = rows[(rows >= 0) & (rows < count)]
    index = np.searchsorted(starts, rows, side="right")  # segments that start at the row or before it
    before = rows - np.concatenate([[-np.inf, -np.inf], ends])[[index, index + 1]]
    after = np.concatenate([starts, [np.inf, np.inf]])[[index, index + 1]] - rows
    near, second, *_ = np.sort(np.concatenate([before, after]), axis=0)
    normal = near > 0
    return rows[normal], near[normal], second[normal]


def _segments_found(misses: Integers, segments: Integers, buffer: int, thresholds: int) -> Floats:
    """Returns (buffer + 1, thresholds) the share of segments, buffers included and merged, that hold a flagged row."""
    starts, stops = segments.T
    distances = np.arange(buffer // 2 + 1)[:, None]
    edges = np.minimum(
        misses[np.maximum(starts - distances, 0)], misses[np.minimum(stops - 1 + distances, len(misses) - 1)]
    )
    edges[0] = [misses[start:stop].min() for start, stop in segments]
    first = np.minimum.accumulate(edges)  # (buffer // 2 + 1, segments): where a segment with its buffer is found
    gaps = np.concatenate([[np.inf], starts[1:] - stops[:-1] + 1])
    shares = np.empty((len(first), thresholds))
    for distance, first_flag in enumerate(first):
        merged = np.minimum.reduceat(first_flag, np.flatnonzero(gaps > 2 * distance))
        shares[distance] = _reached(merged, thresholds) / len(merged)
    return shares[np.arange(buffer + 1) // 2]
