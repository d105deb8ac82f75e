"""Precision of values: float32 where that is enough, float64 where it would round variation away."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tsad.arrays import Flags, Floats, Values
from tsad.series import Series

ROUNDING = 2.0**-24
"""Largest relative error of a number that is rounded to float32."""
_SMALLEST = float(np.finfo(np.float32).smallest_normal)
"""Size below which numbers in float32 have fewer digits the smaller they are."""
_SHARE = 1e-3
"""Largest rounding error in units of the variation of a feature that float32 is enough for."""
_OFFSET = 8
"""Least size of values in units of their distance from the median; below it, scaled values are rounded as much themselves."""


def narrowed(train: Series, *others: Series) -> tuple[Series, ...]:
    """Returns training rows and others of the same features in float32, or all in float64 if float32 is not enough.

    Use it once for each data set. The training rows decide, by `loses_variation`.

    Args:
        train: (T, F) rows to learn from, float64.
        others: Rows of the same features, such as test rows.

    Example:
        >>> steps = np.arange(4.0)[:, None]
        >>> [narrowed(Series(offset + steps, ("x",)))[0].values.dtype.name for offset in (0.0, 1e9)]
        ['float32', 'float64']
    """
    dtype = np.float64 if loses_variation(train.values).any() else np.float32
    return tuple(replace(series, values=series.values.astype(dtype, copy=False)) for series in (train, *others))


def loses_variation(values: Values) -> Flags:
    """Returns (F,) True for features whose variation is not far above the rounding error of float32.

    Variation is the standard deviation or, if that is smaller, the median change from row to row among rows that change; 1
    of a constant feature, which scalers do not divide. The rounding error is that of the largest value. A feature whose
    values are not far from 0, compared with their range, loses nothing, unless they are below the range of float32: scaled
    values are rounded as much.

    Args:
        values: (T, F) finite values, T at least 1.
    """
    return np.array([_loses(column) for column in np.asarray(values, np.float64).T], dtype=bool)


def _loses(column: Floats) -> bool:
    if not len(column):
        return False
    largest = float(np.abs(column).max())
    is_tiny = largest < _SMALLEST
    if not is_tiny and largest <= _OFFSET * float(np.abs(column - np.median(column)).max()):
        return False
    changes = np.abs(np.diff(column))
    changes = changes[changes > 0]
    variation = min(float((column - column[0]).std()), float(np.median(changes))) if len(changes) else 1.0
    return (_SMALLEST if is_tiny else largest) * ROUNDING > _SHARE * variation


def named(features: Sequence[str], which: Flags, most: int = 3) -> str:
    """Returns the names of some features for a message, the others only counted."""
    names = [repr(name) for name, marked in zip(features, which, strict=True) if marked]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
