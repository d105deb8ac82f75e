"""Values for empty cells: filled from their column, or left out with it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from tsad.arrays import Flags, Floats, Integers
from tsad.data.io.issues import Cost, Issues
from tsad.data.io.regular import FileRows
from tsad.errors import DataError, shown
from tsad.series import runs
from tsad.spec import Spec


class EmptyCellOptions(Spec):
    """Treatment of empty cells, in each segment by itself.

    Attributes:
        missing: `error`; `0` puts zeros in; `ffill` repeats the last value above; `interpolate` draws a line between the values
            above and below, or repeats the nearest one at either end, which reads future rows and is impossible on a live stream;
            `drop_column` leaves out columns that have an empty cell.
        missing_limit: Number of consecutive empty cells of a column that may be filled.
        outages: Stretches of more empty cells than that: `error`, or `break`: their rows are left out, whatever the other columns
            hold, and a new segment begins after them.
    """

    missing: Literal["error", "ffill", "interpolate", "drop_column", 0] = "error"
    missing_limit: int = Field(100, ge=1)
    outages: Literal["error", "break"] = "error"


def fill_empty_cells(
    rows: FileRows, features: tuple[str, ...], options: EmptyCellOptions, issues: Issues
) -> tuple[FileRows, tuple[str, ...]]:
    """Returns rows without empty cells and the features that remain; adds a repair or an issue about the empty cells."""
    if options.outages == "break":
        rows = _without_outages(rows, features, options, issues)
    empty = np.isnan(rows.cells)
    if not empty.any():
        return rows, features
    if options.missing == "drop_column":
        return _without(rows, features, empty, issues)
    values = rows.cells if options.missing == "error" else _fill(rows.cells, options.missing, rows.boundaries)
    left = np.isnan(values)
    worst = np.array([_longest(column) for column in empty.T])
    fix, cost = _fix(empty, worst, rows, features, options)
    if left.any():
        issues.add(_summary(left, rows, features, "empty"), fix, "drop their rows", cost)
    elif worst.max() > options.missing_limit:
        column = int(worst.argmax())
        issues.add(
            f"column {features[column]!r} has {worst[column]} empty cells one after the other, more than missing_limit "
            f"{options.missing_limit}, first at {_row(empty[:, column], rows)}",
            fix,
            "data.missing=drop_column",
            cost,
        )
    else:
        issues.add_repair(
            f"{_summary(empty, rows, features, 'empty')}; filled by {options.missing}, at most {worst.max()} one after the other"
        )
    return replace(rows, cells=np.where(np.isnan(values), 0.0, values)), features


def _outages(empty: Flags, limit: int) -> Flags:
    """Returns (T,) True for rows of a stretch of more than `limit` empty cells of a column."""
    rows = np.zeros(len(empty), bool)
    for column in empty.T:
        for start, stop in runs(column):
            rows[start:stop] |= stop - start > limit
    return rows


def _without_outages(rows: FileRows, features: tuple[str, ...], options: EmptyCellOptions, issues: Issues) -> FileRows:
    out = _outages(np.isnan(rows.cells), options.missing_limit)
    if not out.any():
        return rows
    stretches = runs(out)
    issues.add_repair(
        f"{int(out.sum())} rows of {len(stretches)} outages of more than {options.missing_limit} empty cells were left out, "
        f"first {_row(out, rows)}; a new segment begins after each"
    )
    targets = np.cumsum(~out) - 1
    starts = {int(targets[row]) for row in rows.boundaries} | {
        int(targets[start - 1]) + 1 for start, _ in stretches if start
    }
    remaining = rows.select(np.flatnonzero(~out))
    return replace(
        remaining,
        boundaries=tuple(sorted(row for row in starts if 0 < row < len(remaining.cells))),
        entities=tuple((name, int((~out[:row]).sum())) for name, row in rows.entities),
    )


def _summary(empty: Flags, rows: FileRows, features: tuple[str, ...], what: str) -> str:
    columns = np.flatnonzero(empty.any(axis=0))
    first = empty[:, columns[0]]
    others = [features[column] for column in columns[1:]]
    more = (
        f"; so have {len(others)} other columns, {int(empty.sum() - first.sum())} cells ({shown(others)})"
        if others
        else ""
    )
    return f"column {features[columns[0]]!r} has {int(first.sum())} {what} cells, first at {_row(first, rows)}{more}"


def _row(empty: Flags, rows: FileRows) -> str:
    return f"row {rows.numbers[int(empty.argmax())]}"


def _without(
    rows: FileRows, features: tuple[str, ...], empty: Flags, issues: Issues
) -> tuple[FileRows, tuple[str, ...]]:
    complete = ~empty.any(axis=0)
    if not complete.any():
        issues.fail(
            "every column has empty cells, so that drop_column leaves none", {"missing": "ffill"}, "interpolate"
        )
    issues.add_repair(f"{_summary(empty, rows, features, 'empty')}; these columns were left out")
    names = tuple(features[column] for column in np.flatnonzero(complete))
    return replace(rows, cells=rows.cells[:, complete]), names


def _fill(values: Floats, how: str | int, boundaries: Sequence[int]) -> Floats:
    if how == 0:
        return np.nan_to_num(values, nan=0.0)
    edges = [0, *boundaries, len(values)]
    parts = [pd.DataFrame(values[start:stop]) for start, stop in pairwise(edges)]
    done = [part.ffill() if how == "ffill" else part.interpolate(limit_direction="both") for part in parts]
    return np.concatenate([part.to_numpy() for part in done])


def _longest(empty: Flags) -> int:
    return max((stop - start for start, stop in runs(empty)), default=0)


def _fix(
    empty: Flags, worst: Integers, rows: FileRows, features: tuple[str, ...], options: EmptyCellOptions
) -> tuple[dict[str, Any], Cost | None]:
    """Returns settings after which no cell is empty, and what they cost.

    Columns without any value are left out. Long stretches in which all other columns are empty too become breaks. All other empty
    cells are filled.
    """
    blank = empty.all(axis=0)
    fix: dict[str, Any] = {"ignore": [features[column] for column in np.flatnonzero(blank)]} if blank.any() else {}
    rest = empty[:, ~blank]
    if not rest.any():
        return fix, None
    lost, remaining = 0, replace(rows, cells=rows.cells[:, ~blank])
    if int(worst[~blank].max()) > options.missing_limit:
        out = _outages(rest, options.missing_limit)
        lost = int((~rest[out]).sum())  # values of other columns
        fix["outages"] = "break"
        remaining = _without_outages(remaining, features, options, Issues(""))
        rest = rest[~out]
    hows = [
        how for how in ("ffill", "interpolate") if not np.isnan(_fill(remaining.cells, how, remaining.boundaries)).any()
    ]
    if rest.any() or options.missing == "error":
        if not hows:
            return fix | {"missing": "drop_column"}, Cost(
                "columns left out", int(rest.any(axis=0).sum()), len(features)
            )
        fix["missing"] = hows[0]
    return fix, Cost("cells filled or left out", int(rest.sum()) + lost, empty.size)


class ForwardFill:
    """Fills empty cells of rows that arrive in chunks with the last value above, even if that was in an earlier chunk.

    A value is never carried over a gap in time, as `missing: ffill` on a whole file carries none into another segment.

    Args:
        features: Names of the F features, for errors.
        source: Name of the file, for errors.
        limit: Consecutive empty cells of a column that may be filled, as `missing_limit`.
    """

    def __init__(self, features: Sequence[str], source: str, limit: int) -> None:
        self._features = features
        self._source = source
        self._limit = limit
        self._last = np.full(len(features), np.nan)
        self._length = np.zeros(len(features), np.int64)
        """(F,) number of empty cells that each column of the last chunk ended with."""

    def __call__(self, cells: Floats, restarts: Flags | None = None) -> Floats:
        """Returns the (n, F) cells with empty ones filled; NaN where no value is above in the same segment.

        Args:
            cells: (n, F) values, NaN where a cell is empty.
            restarts: (n,) True where a new segment begins; None if none does.

        Raises:
            DataError: if a stretch of empty cells is longer than the limit.
        """
        edges = [0, *([] if restarts is None else np.flatnonzero(restarts)), len(cells)]
        parts = [
            self._filled(cells[start:stop], fresh=number > 0) for number, (start, stop) in enumerate(pairwise(edges))
        ]
        return np.concatenate(parts) if parts else cells

    def _filled(self, cells: Floats, *, fresh: bool) -> Floats:
        if fresh:
            self._last[:], self._length[:] = np.nan, 0
        values = pd.DataFrame(np.vstack([self._last, cells])).ffill().to_numpy()[1:]
        for column, empty in enumerate(np.isnan(cells).T):
            before = np.full(self._length[column], fill_value=True)
            stretches = runs(np.concatenate([before, empty]))
            longest = max((stop - start for start, stop in stretches), default=0)
            if longest > self._limit:
                raise DataError(
                    f"{self._source}: column {self._features[column]!r} has {longest} empty cells one after the other, more than "
                    f"missing_limit {self._limit}; give them a value, or a higher data.missing_limit"
                )
            whole = len(before) + len(empty)
            self._length[column] = whole - stretches[-1][0] if stretches and stretches[-1][1] == whole else 0
        if len(values):
            self._last = values[-1].copy()
        return values
