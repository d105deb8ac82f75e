"""One feature as five: base, trend, seasonality, momentum, volatility."""

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FIVE = ("base", "trend", "seasonality", "momentum", "volatility")
_SEASONS = 3


def five_features(values: NDArray[np.float64], period: int, boundaries: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """Returns (T, 5) features of (T,) values; each row is made of itself and rows before it in its segment.

    With x the value and p the period: base x(t); trend, the mean of the last p rows; seasonality, the mean over the last
    three periods of x - trend at t - p, t - 2 p, t - 3 p, so that a row does not explain itself; momentum x(t) - x(t - 1);
    volatility, the standard deviation of the last p rows. Where a segment has fewer rows than that before t, those
    that it has are taken, and 0 if it has none.

    Args:
        values: Without NaN.
        period: Rows of a season, at least 2.
        boundaries: Rows at which a new segment begins.
    """
    edges = [0, *boundaries, len(values)]
    return np.concatenate([_of(values[start:stop], period) for start, stop in pairwise(edges)])


def _of(values: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    base = pd.Series(values)
    last = base.rolling(period, min_periods=1)
    trend = last.mean()
    seasons = [(base - trend).shift(period * place) for place in range(1, _SEASONS + 1)]
    columns = (base, trend, pd.concat(seasons, axis=1).mean(axis=1), base.diff(), last.std(ddof=0))
    return np.stack([column.fillna(0.0).to_numpy() for column in columns], axis=1)
