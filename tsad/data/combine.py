"""Data sets made of data sets: several entities joined for one detector, or rows averaged to a lower rate."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from tsad.data.dataset import DataSet, Entity, RootCause
from tsad.series import Series


def join(parts: Sequence[DataSet], family: str) -> DataSet:
    """Returns data sets of the same features one after the other, each of them an entity with a boundary before it.

    Use it to train one detector on several machines. A single data set comes back as it is. The test rows do not follow the
    training rows of their entity in the result, so the first test rows of each entity have no score.

    Args:
        parts: At least one data set; the test rows of all are labeled.
        family: Beginning of their names, such as `smd`, left out of the names of the entities.
    """
    if len(parts) == 1:
        return parts[0]
    train, test = (
        [0, *accumulate(len(series) for series in side)]
        for side in zip(*((part.train, part.test) for part in parts), strict=True)
    )
    names = [part.name.removeprefix(f"{family}-") for part in parts]
    shifted = list(zip(parts, test, strict=False))
    return replace(
        parts[0],
        name=f"{family}-{'+'.join(names) if len(names) <= 3 else f'{len(names)}-entities'}",
        train=concatenate([part.train for part in parts]),
        test=concatenate([part.test for part in parts]),
        continuous=False,
        root_causes=tuple(
            event._replace(start=event.start + row, stop=event.stop + row)
            for part, row in shifted
            for event in part.root_causes
        ),
        typed_events=tuple(
            event._replace(start=event.start + row, stop=event.stop + row)
            for part, row in shifted
            for event in part.typed_events
        ),
        entities=tuple(Entity(*entity) for entity in zip(names, train, test, strict=False)),
        defects=tuple(defect for part in parts for defect in part.defects),
    )


def concatenate(chunks: Sequence[Series]) -> Series:
    """Returns series of the same features one after the other, with a boundary before each; a single one as it is.

    Labels and times are those of all chunks, or None if one chunk has none.
    """
    if len(chunks) == 1:
        return chunks[0]
    edges = [0, *accumulate(len(chunk) for chunk in chunks)]
    labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
    times = [chunk.times for chunk in chunks if chunk.times is not None]
    boundaries = [row + edge for chunk, edge in zip(chunks, edges, strict=False) for row in (0, *chunk.boundaries)]
    return Series(
        values=np.concatenate([chunk.values for chunk in chunks]),
        features=chunks[0].features,
        labels=np.concatenate(labels) if len(labels) == len(chunks) else None,
        boundaries=tuple(boundaries[1:]),
        times=np.concatenate(times) if len(times) == len(chunks) else None,
    )


def average_rows(data: DataSet, every: int) -> DataSet:
    """Returns the data with each `every` consecutive rows of a segment averaged into one row.

    Use it where events last much longer than a row. A row of the result is anomalous if one of the rows in it is, and has the
    time of the first of them. Rows at the end of a segment that do not fill a whole one are dropped.

    Args:
        data: What to average.
        every: Rows in one row of the result, at least 1; 1 returns the data as it is.
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
    rows = np.concatenate(
        [first + np.arange(count * every) for (first, _), count in zip(series.segments(), counts, strict=True)]
    )
    values = series.values[rows].reshape(-1, every, len(series.features)).mean(axis=1, dtype=np.float64)
    ends = np.cumsum([count for count in counts if count])
    return Series(
        values=values.astype(series.values.dtype),
        features=series.features,
        labels=None if series.labels is None else series.labels[rows].reshape(-1, every).any(axis=1),
        boundaries=tuple(int(end) for end in ends[:-1]),
        times=None if series.times is None else series.times[rows][::every],
    )
