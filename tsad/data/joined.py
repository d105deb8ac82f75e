"""Several data sets as one, for one detector of all."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from tsad.data.dataset import DataSet, Unit
from tsad.series import Series


def joined(parts: Sequence[DataSet], family: str) -> DataSet:
    """Returns data sets of the same features one after the other, each a unit with a boundary before it; a single one as it is.

    Test rows do not follow the training rows then, so the first ones of each unit have no score.

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
        name=f"{family}-{'+'.join(names) if len(names) <= 3 else f'{len(names)}-units'}",
        train=end_to_end([part.train for part in parts]),
        test=end_to_end([part.test for part in parts]),
        continuous=False,
        causes=tuple(
            each._replace(start=each.start + row, stop=each.stop + row) for part, row in placed for each in part.causes
        ),
        kinds=tuple(
            each._replace(start=each.start + row, stop=each.stop + row) for part, row in placed for each in part.kinds
        ),
        units=tuple(Unit(*found) for found in zip(names, train, test, strict=False)),
        defects=tuple(defect for part in parts for defect in part.defects),
    )


def end_to_end(pieces: Sequence[Series]) -> Series:
    """Returns series of the same features one after the other, with a boundary before each; a single one as it is.

    Labels and times are those of all pieces, or None if a piece has none.
    """
    if len(pieces) == 1:
        return pieces[0]
    edges = [0, *accumulate(len(piece) for piece in pieces)]
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    times = [piece.times for piece in pieces if piece.times is not None]
    boundaries = [row + edge for piece, edge in zip(pieces, edges, strict=False) for row in (0, *piece.boundaries)]
    return Series(
        values=np.concatenate([piece.values for piece in pieces]),
        features=pieces[0].features,
        labels=np.concatenate(labels) if len(labels) == len(pieces) else None,
        boundaries=tuple(boundaries[1:]),
        times=np.concatenate(times) if len(times) == len(pieces) else None,
    )
