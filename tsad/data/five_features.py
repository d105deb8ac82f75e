"""One feature as five: base, trend, seasonality, momentum, volatility."""

from itertools import pairwise

import numpy as np
import pandas as pd

from tsad.arrays import Floats

FIVE = ("base", "trend", "seasonality", "momentum", "volatility")
"""Names of the five features, in the order of the columns."""

_SEASONS = 3
"""Past seasons that the seasonality is the mean of."""


def five_features(values: Floats, period: int, boundaries: tuple[int, ...] = ()) -> Floats:
    """Returns (T, 5) features of (T,) values; each row depends on itself and on rows before it in its segment.

    Use it to give a detector of several features a single one. With x the value and p the period: base x(t); trend, the mean
    of the last p rows; seasonality, the mean over the last three periods of x - trend at t - p, t - 2 p, t - 3 p, so that a row
    does not explain itself; momentum x(t) - x(t - 1); volatility, the standard deviation of the last p rows. Where a segment
    has fewer rows than that before t, those that it has are used, and 0 if it has none.

    Args:
        values: (T,) without NaN.
        period: Rows of a season, at least 2.
        boundaries: Rows at which a new segment begins.

    Example:
        >>> five_features(np.array([1.0, 3.0, 2.0]), period=2).tolist()
        [[1.0, 1.0, 0.0, 0.0, 0.0], [3.0, 2.0, 0.0, 2.0, 1.0], [2.0, 2.5, 0.0, -1.0, 0.5]]
    """
    edges = [0, *boundaries, len(values)]
    return np.concatenate([_of_segment(values[start:stop], period) for start, stop in pairwise(edges)])


def _of_segment(values: Floats, period: int) -> Floats:
    base = pd.Series(values)
    last = base.rolling(period, min_periods=1)
    trend = last.mean()
    seasons = [(base - trend).shift(period * season) for season in range(1, _SEASONS + 1)]
    columns = (base, trend, pd.concat(seasons, axis=1).mean(axis=1), base.diff(), last.std(ddof=0))
    return np.stack([column.fillna(0.0).to_numpy() for column in columns], axis=1)
