"""A series: consecutive rows of several features."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Values
from tsad.errors import DataError


@dataclass(frozen=True, eq=False)
class Series:
    """Rows of one or more segments, the oldest first.

    A segment is a stretch of rows without a gap in time. Use `tsad.Detector.score` to score a series or a DataFrame.

    Attributes:
        values: (T, F) array of finite numbers, float32, or float64 where float32 would round variation away.
        features: Names of the F features, all different.
        labels: (T,) bool array, True where a row is anomalous; None if the rows are not labeled.
        boundaries: Ascending indices of the rows at which a new segment begins, without row 0; no window spans one.
        times: (T,) datetime64 array of time stamps; None if the rows have none.
    """

    values: Values
    features: tuple[str, ...]
    labels: NDArray[np.bool_] | None = field(default=None)
    boundaries: tuple[int, ...] = ()
    times: NDArray[np.datetime64] | None = field(default=None)

    def __post_init__(self) -> None:
        rows, features = self.values.shape if self.values.ndim == 2 else (-1, -1)
        if rows < 0 or self.values.dtype not in (np.float32, np.float64):
            raise DataError(
                f"values must be (rows, features) float32 or float64, but got {self.values.shape} {self.values.dtype}"
            )
        if len(self.features) != features or len(set(self.features)) != features:
            raise DataError(f"each of {features} features needs one name of its own, but got {list(self.features)}")
        for name, column in (("labels", self.labels), ("times", self.times)):
            if column is not None and column.shape != (rows,):
                raise DataError(f"{name} must have one entry for each of {rows} rows, but got shape {column.shape}")
        if list(self.boundaries) != sorted(set(self.boundaries)) or any(not 0 < row < rows for row in self.boundaries):
            raise DataError(f"boundaries must ascend between 1 and {rows - 1}, but got {self.boundaries}")
        finite = np.isfinite(self.values)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                f"feature {self.features[column]!r} has {int((~finite[:, column]).sum())} values that are not finite "
                f"numbers, first at row {row} ({self.values[row, column]}); fill or drop them before this step"
            )

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, stop: int) -> "Series":
        """Returns rows `start` to `stop` (exclusive) as views, with the boundaries that lie inside."""
        return Series(
            values=self.values[start:stop],
            features=self.features,
            labels=None if self.labels is None else self.labels[start:stop],
            boundaries=tuple(row - start for row in self.boundaries if start < row < stop),
            times=None if self.times is None else self.times[start:stop],
        )

    def then(self, after: "Series") -> "Series":
        """Returns these rows and those that follow without a boundary, of the same features; without labels and times."""
        if after.features != self.features:
            raise DataError(f"features must be {list(self.features)}, in this order, but got {list(after.features)}")
        boundaries = (*self.boundaries, *(row + len(self) for row in after.boundaries))
        return Series(np.concatenate([self.values, after.values]), self.features, boundaries=boundaries)

    def segments(self) -> Iterator[tuple[int, int]]:
        """Yields the first row and the row after the last of each stretch without a boundary."""
        edges = [0, *self.boundaries, len(self)]
        yield from pairwise(edges)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns (first row, row after the last) of every unbroken stretch of True, in order."""
    padded = np.concatenate([[False], flags, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
