"""Several data sets as one, for one detector of all."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from tsad.data.dataset import DataSet, Entity
from tsad.series import Series


def joined(parts: Sequence[DataSet], family: str) -> DataSet:
    """Returns data sets of the same features one after the other, each an entity with a boundary before it; a single one as it is.

    Test rows do not follow the training rows then, so the first ones of each entity have no score.

    Args:
        parts: At least one; their test rows are labeled.
        family: What their names begin with.
    """
    if len(parts) == 1:
        return parts[0]
    train, test = (
        [0, *accumulate(len(series) for series in side)]
        for side in zip(*((p.train, p.test) for p in parts), strict=True)
    )
    names = [part.name.removeprefix(f"{family}-") for part in parts]
    placed = list(zip(parts, test, strict=False))
    return replace(
        parts[0],
        name=f"{family}-{'+'.join(names) if len(names) <= 3 else f'{len(names)}-entities'}",
        train=end_to_end([part.train for part in parts]),
        test=end_to_end([part.test for part in parts]),
        continuous=False,
        root_causes=tuple(
            each._replace(start=each.start + row, stop=each.stop + row)
            for part, row in placed
            for each in part.root_causes
        ),
        typed_events=tuple(
            each._replace(start=each.start + row, stop=each.stop + row)
            for part, row in placed
            for each in part.typed_events
        ),
        entities=tuple(Entity(*found) for found in zip(names, train, test, strict=False)),
        defects=tuple(defect for part in parts for defect in part.defects),
    )


def end_to_end(chunks: Sequence[Series]) -> Series:
    """Returns series of the same features one after the other, with a boundary before each; a single one as it is.

    Labels and times are those of all chunks, or None if a chunk has none.
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
