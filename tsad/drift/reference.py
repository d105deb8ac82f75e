"""Reference distribution of rows, column by column, and the usual distance of other rows from it.

Two samples are compared by the Kolmogorov-Smirnov distance: the largest difference between their shares of rows up to a value.
Its p-value holds for independent rows, which those of a series are not: any hour of a night differs from a reference of
days and nights beyond all doubt that such a p-value knows of. What is expected is measured instead: how far blocks of the
reference are from the rest of it, for blocks of several lengths.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.arrays import Floats
from tsad.spec import Spec

Stretches = Sequence[tuple[int, int]]

_KNOTS = np.linspace(0, 1, 101)
_HOP = 16
"""Rows that are counted together; blocks begin and end with them."""
_SHORTEST = 64
"""Rows of the shortest blocks; the others are 2, 4, 8, ... times as long."""
_ROOM = 8
"""Blocks of a length that the reference must have room for side by side."""
_BLOCKS = 300
"""Blocks of a length that are looked at, at most; neighbors share up to three quarters of their rows."""
_CONFIDENCE = 0.99
"""Share of the reference's own blocks that the others would call expected, in all columns at once."""
_FARTHEST = 0.99
"""No limit is above: rows that are all beyond the range of the reference have drifted, whatever a trend made expected there."""
_EMPTY = 1e-4
"""Share that an empty bin of the stability index counts as."""


class Column(Spec):
    """Distribution of one column of the reference.

    Attributes:
        name: Name of the feature.
        values: Ascending: all that occur if they are few, else the percentiles 0 to 100, each a value that occurs.
        below: Reference rows below each of them.
        upto: Number of rows at or below each value.
        mean: Mean of all rows.
        deviation: Population standard deviation.
        stuck_ratio: Share of rows that are equal to the row before.
        expected: By length of the reference's blocks, the distance up to which rows are as they usually were.
    """

    name: str
    values: tuple[float, ...] = Field(min_length=1, repr=False)
    below: tuple[int, ...] = Field(repr=False)
    upto: tuple[int, ...] = Field(repr=False)
    mean: float
    deviation: float = Field(ge=0)
    stuck_ratio: float = Field(ge=0, le=1)
    expected: tuple[float, ...]

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        edges = [edge for pair in zip(self.below, self.upto, strict=False) for edge in pair]
        if (
            len({len(self.values), len(self.below), len(self.upto)}) != 1
            or any(left >= right for left, right in pairwise(self.values))
            or any(left > right for left, right in pairwise([0, *edges]))
            or self.upto[-1] < 1
        ):
            raise ValueError("values must ascend, with as many counts below and upto that never fall")
        return self

    @property
    def is_constant(self) -> bool:
        """Whether it had one value only."""
        return len(self.values) == 1

    def bins(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Returns the place of each of (n,) values: 0 below the first knot, 1 at it, 2 between it and the second, ..."""
        return np.searchsorted(self.values, values) + np.searchsorted(self.values, values, side="right")

    @property
    def shares(self) -> Floats:
        """(2 K,) shares of the reference rows below, and up to, each of K knots in turn."""
        return np.stack([self.below, self.upto], axis=1).ravel() / self.upto[-1]


class Reference(Spec):
    """Rows that others are compared with.

    Attributes:
        rows: How many.
        lengths: Lengths of its own blocks, ascending; empty if it is too short to say what is expected.
        columns: Each with one expected distance per length.
    """

    rows: int = Field(ge=1)
    lengths: tuple[int, ...]
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(len(column.expected) != len(self.lengths) or column.upto[-1] != self.rows for column in self.columns):
            raise ValueError("each column must count all rows and have a expected distance for each length")
        return self

    @classmethod
    def of(cls, names: Sequence[str], values: NDArray[np.floating], stretches: Sequence[tuple[int, int]]) -> Self:
        """Returns the reference that (T, F) finite rows make.

        Args:
            names: Names of the F columns.
            values: The rows.
            stretches: First row, and row after the last, of each unbroken stretch; a block lies within one.
        """
        columns = [_column(name, values[:, index]) for index, name in enumerate(names)]
        limits = _limits(columns, values, [(first, after) for first, after in stretches if after > first])
        expected = np.array(list(limits.values())).reshape(len(limits), len(columns)).T.tolist()
        described = [
            column.model_copy(update={"expected": tuple(expected_distances)})
            for column, expected_distances in zip(columns, expected, strict=True)
        ]
        return cls(rows=len(values), lengths=tuple(limits), columns=tuple(described))

    def expected(self, index: int, rows: int) -> float | None:
        """Returns the expected distance of as many rows in a column: that of the longest blocks not longer. None if too few.

        A column that was constant has drifted with the first other value, however few the rows.
        """
        if self.columns[index].is_constant:
            return 0.0
        shorter = sum(length <= rows for length in self.lengths)
        return self.columns[index].expected[shorter - 1] if shorter else None


def _column(name: str, values: NDArray[np.floating]) -> Column:
    ordered = np.sort(values)
    knots = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    if len(knots) > len(_KNOTS):
        knots = np.unique(np.quantile(ordered, _KNOTS, method="inverted_cdf"))
    wide = values.astype(np.float64)
    return Column(
        name=name,
        values=tuple(knots.tolist()),
        below=tuple(np.searchsorted(ordered, knots).tolist()),
        upto=tuple(np.searchsorted(ordered, knots, side="right").tolist()),
        mean=float(wide.mean()),
        deviation=0.0 if len(knots) == 1 else float(wide.std()),  # not the rounding of equal values
        stuck_ratio=float((values[1:] == values[:-1]).mean()) if len(values) > 1 else 0.0,
        expected=(),
    )


def _limits(columns: Sequence[Column], values: NDArray[np.floating], stretches: Stretches) -> dict[int, Floats]:
    """Returns by length of blocks the (F,) largest distances of a block from the rest of the reference, and a margin."""
    spans = _hops(stretches)
    starts = dict(_blocks(spans))
    firsts = zip(stretches, spans, strict=True)
    rows = np.concatenate([np.arange((stop - start) * _HOP) + first for (first, _), (start, stop) in firsts])
    distances = {length: np.empty((len(starts_or_rows), len(columns))) for length, starts_or_rows in starts.items()}
    for index, column in enumerate(columns):
        counts = _counted(column, values[rows, index])
        for length, starts_or_rows in starts.items():
            inside = (counts[starts_or_rows + length // _HOP] - counts[starts_or_rows]) / length
            distances[length][:, index] = np.abs(inside - column.shares).max(axis=1)
    constant = np.array([column.is_constant for column in columns])
    return {
        # the reference is a mixture of block and rest, so the distance from it is (T - length) / T of theirs
        length: np.where(
            constant, 0.0, _limit(starts[length], starts_or_rows * len(values) / (len(values) - length), length)
        )
        for length, starts_or_rows in distances.items()
    }


def _hops(stretches: Stretches) -> list[tuple[int, int]]:
    """Returns first, and last + 1, of the hops of `_HOP` rows in each stretch, numbered on from stretch to stretch."""
    edges = np.cumsum([0, *((after - first) // _HOP for first, after in stretches)]).tolist()
    return list(pairwise(edges))


def _blocks(spans: Stretches) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yields each length of blocks, in rows, and the (N,) first hops of its blocks: a quarter of a block apart, thinned."""
    hops = _SHORTEST // _HOP
    while sum(stop - start for start, stop in spans if stop - start >= hops) >= _ROOM * hops:
        starts_or_rows = np.concatenate([np.arange(start, stop - hops + 1, hops // 4) for start, stop in spans])
        yield (
            hops * _HOP,
            starts_or_rows[np.linspace(0, len(starts_or_rows) - 1, min(_BLOCKS, len(starts_or_rows))).astype(np.int64)],
        )
        hops *= 2


def _counted(column: Column, values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Returns (hops + 1, 2 K): how many rows of the hops before are below, and up to, each of the K knots in turn."""
    cells, hops = 2 * len(column.values) + 1, len(values) // _HOP
    flat = np.bincount(column.bins(values) + np.repeat(np.arange(hops) * cells, _HOP), minlength=hops * cells)
    counts = np.zeros((hops + 1, cells - 1), dtype=np.int64)
    flat.reshape(hops, cells).cumsum(axis=1)[:, :-1].cumsum(axis=0, out=counts[1:])
    return counts


def _limit(starts: NDArray[np.int64], distances: Floats, length: int) -> Floats:
    """Returns the (F,) limits of (N, F) distances of blocks: the largest, and a margin for how many columns are looked at.

    Each block is judged by those that share no row with it. The margin is the excess over their largest distance, in
    whichever column it is largest, that a share `_CONFIDENCE` of the blocks stay within. So it grows with the number of columns
    and with the reference's own drift.
    """
    hops = length // _HOP
    none = np.full((1, distances.shape[1]), -np.inf)
    before = np.concatenate([none, np.maximum.accumulate(distances)])[
        np.searchsorted(starts, starts - hops, side="right")
    ]
    after = np.concatenate([np.maximum.accumulate(distances[::-1])[::-1], none])[np.searchsorted(starts, starts + hops)]
    excess = (distances - np.maximum(before, after)).max(axis=1)
    margin = max(float(np.quantile(excess, _CONFIDENCE, method="inverted_cdf")), 0.0)
    return np.asarray(np.minimum(distances.max(axis=0) + margin, _FARTHEST))


class Histogram:
    """Rows that are compared with a reference, counted chunk by chunk between its knots; it keeps no rows but the last.

    Args:
        reference: What they are compared with.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = 0
        self._counts = [np.zeros(2 * len(column.values) + 1, dtype=np.int64) for column in reference.columns]
        self._sums = np.zeros(len(reference.columns))
        self._repeats = np.zeros(len(reference.columns), dtype=np.int64)
        self._last: NDArray[np.floating] | None = None
        self.lowest = np.full(len(reference.columns), np.inf)
        self.highest = -self.lowest

    def take(self, values: NDArray[np.floating]) -> None:
        """Counts (n, F) finite rows, which follow those before."""
        if not len(values):
            return
        joined = values if self._last is None else np.concatenate([self._last, values])
        self._repeats += (joined[1:] == joined[:-1]).sum(axis=0)
        self._last = values[-1:].copy()
        self._sums += values.sum(axis=0, dtype=np.float64)
        self.lowest = np.minimum(self.lowest, values.min(axis=0))
        self.highest = np.maximum(self.highest, values.max(axis=0))
        for index, (column, counts) in enumerate(zip(self.reference.columns, self._counts, strict=True)):
            counts += np.bincount(column.bins(values[:, index]), minlength=len(counts))
        self.rows += len(values)

    def mean(self, index: int) -> float:
        """Returns the mean of a column."""
        return float(self._sums[index] / self.rows)

    def stuck_ratio(self, index: int) -> float:
        """Returns the share of a column's rows that are equal to the row before."""
        return float(self._repeats[index] / max(self.rows - 1, 1))

    def shares(self, index: int) -> Floats:
        """Returns the (2 K,) shares of rows below, and up to, each of the K knots of a column in turn."""
        return np.asarray(self._counts[index].cumsum()[:-1] / self.rows)

    def distance(self, index: int) -> float:
        """Returns the Kolmogorov-Smirnov distance of a column from the reference.

        It is read at the knots: exact where the reference has few values, at most a hundredth too small elsewhere.
        """
        return float(np.abs(self.shares(index) - self.reference.columns[index].shares).max())

    def stability_index(self, index: int) -> float:
        """Returns the population stability index of a column: the sum of (p - q) log(p / q) over ten bins.

        They are cut at the reference's deciles, before or after a value that several deciles fall on, so that it has a bin of
        its own and fewer bins remain. An empty bin counts as a share of 1e-4.
        """
        expected, starts_or_rows = self.reference.columns[index].shares, self.shares(index)
        cuts = np.unique([np.abs(expected - decile).argmin() for decile in np.arange(1, 10) / 10])
        p, q = (np.maximum(np.diff([0, *shares[cuts], 1]), _EMPTY) for shares in (starts_or_rows, expected))
        return float(((p - q) * np.log(p / q)).sum())
