"""Coarser rows: the same segments at a lower rate."""

from dataclasses import replace

import numpy as np

from tsad.data.dataset import DataSet, RootCause
from tsad.series import Series


def averaged(data: DataSet, every: int) -> DataSet:
    """Returns the data with each `every` consecutive rows of a segment averaged into one; 1 returns it as it is.

    A row is anomalous if any of those that it was made of is, and has the time of the first of them. Rows at the end of a
    segment that do not fill one are dropped.
    """
    if every == 1:
        return data
    causes = (
        RootCause(cause.start // every, min(-(-cause.stop // every), len(data.test) // every), cause.features)
        for cause in data.root_causes
    )
    return replace(
        data,
        train=_averaged(data.train, every),
        test=_averaged(data.test, every),
        root_causes=tuple(cause for cause in causes if cause.start < cause.stop),
        step_seconds=None if data.step_seconds is None else data.step_seconds * every,
    )


def _averaged(series: Series, every: int) -> Series:
    counts = [(after - first) // every for first, after in series.segments()]
    kept = np.concatenate(
        [first + np.arange(count * every) for (first, _), count in zip(series.segments(), counts, strict=True)]
    )
    values = series.values[kept].reshape(-1, every, len(series.features)).mean(axis=1, dtype=np.float64)
    ends = np.cumsum([count for count in counts if count])
    return Series(
        values=values.astype(np.float32),
        features=series.features,
        labels=None if series.labels is None else series.labels[kept].reshape(-1, every).any(axis=1),
        boundaries=tuple(int(end) for end in ends[:-1]),
        times=None if series.times is None else series.times[kept][::every],
    )
