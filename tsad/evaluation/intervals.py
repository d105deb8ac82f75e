"""Uncertainty of metrics: bootstrap intervals of one series, and paired comparisons over many."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats

BLOCKS = 50
"""Blocks that a series is cut into: long enough that what is in one says little of the next."""

RESAMPLES, SEED = 500, 0
"""Number of bootstrap resamples of an interval of a series, and their seed."""


class Interval(NamedTuple):
    """A value with its 95 % interval over resamples.

    Attributes:
        value: Value on all rows.
        low: 2.5th percentile of the resamples.
        high: 97.5th percentile of the resamples.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class PairedDifference(NamedTuple):
    """Difference of two detectors on the same cases.

    Attributes:
        difference: Mean over cases of first minus second, with its bootstrap interval over cases.
        p_value: P-value of Wilcoxon's signed-rank test, two sided; 1 if no case differs.
        wins: Cases in which the first is better.
        cases: How many there are.
    """

    difference: Interval
    p_value: float
    wins: int
    cases: int


def resampled_pr_auc(scores: Floats, labels: Flags, weights: NDArray[np.int64]) -> Floats:
    """Returns the (R,) average precision of R resamples, of which each takes row t `weights[r, t]` times.

    Args:
        scores: (T,) without NaN.
        labels: (T,).
        weights: (R, T). A resample without an anomaly gets NaN.
    """
    order = np.argsort(-scores, kind="stable")
    truth = labels[order]
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # tied scores are one threshold
    anomalies = np.cumsum(truth)[last]
    steps = np.flatnonzero(np.diff(anomalies, prepend=0))  # only thresholds with an anomaly of their own add to the sum
    thresholds, indices = last[steps], anomalies[steps] - 1
    values = np.full(len(weights), np.nan)
    for index, drawn in enumerate(weights):
        taken = drawn[order]
        hits, flagged = np.cumsum(taken[truth])[indices], np.cumsum(taken)[thresholds]
        if len(hits) and hits[-1]:
            precision = np.divide(hits, flagged, out=np.zeros(len(thresholds)), where=flagged > 0)
            values[index] = (np.diff(hits, prepend=0) * precision).sum() / hits[-1]
    return values


def block_weights(rows: int, generator: Generator, resamples: int) -> NDArray[np.int64]:
    """Returns the (R, T) counts of block bootstrap: `BLOCKS` blocks of equal length, drawn with replacement.

    Rows are not drawn one by one, since neighbors are alike and the interval would be far too narrow (Künsch 1989).
    """
    block = np.arange(rows) * min(BLOCKS, rows) // rows
    drawn = generator.integers(block[-1] + 1, size=(resamples, block[-1] + 1))
    return np.stack([np.bincount(blocks, minlength=block[-1] + 1)[block] for blocks in drawn])


def interval(value: float, resampled: Floats) -> Interval:
    """Returns the percentile interval of resamples; those that are NaN take no part."""
    return Interval(value, *np.nanquantile(resampled, (0.025, 0.975)).tolist())


def paired_difference(first: Floats, second: Floats, generator: Generator, resamples: int = 10_000) -> PairedDifference:
    """Returns how two detectors differ over the same (N,) cases, such as machines; NaN in neither.

    Args:
        first: (N,) a metric by case.
        second: (N,) the same metric of the other detector on the same cases.
        generator: Generator of the resamples of cases.
        resamples: How many.

    Raises:
        ValueError: if there are no two cases, or not equally many.
    """
    if first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"a paired comparison needs two cases or more, the same of both, but got {first.shape}, {second.shape}"
        )
    from scipy.stats import wilcoxon  # half a second that commands without a comparison do not need

    difference = first - second
    means = difference[generator.integers(len(difference), size=(resamples, len(difference)))].mean(axis=1)
    p_value = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return PairedDifference(
        interval(float(difference.mean()), means), p_value, int((difference > 0).sum()), len(difference)
    )
