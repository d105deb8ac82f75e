"""Values for empty cells: filled from their column, or left out with it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from tsad.arrays import Flags, Floats, Integers
from tsad.data.io.issues import Issues
from tsad.data.io.regular import FileRows
from tsad.errors import DataError, shown
from tsad.series import runs
from tsad.spec import Spec


class EmptyCellOptions(Spec):
    """Treatment of empty cells, in each segment by itself.

    Attributes:
        missing: `error`; `ffill` repeats the last value above; `interpolate` draws a line between the values above and below,
            or repeats the nearest one at either end, which reads future rows and is impossible on a live stream;
            `drop_column` leaves out columns that have an empty cell.
        missing_limit: Number of consecutive empty cells of a column that may be filled; a longer stretch is an error.
    """

    missing: Literal["error", "ffill", "interpolate", "drop_column"] = "error"
    missing_limit: int = Field(100, ge=1)


def fill_empty_cells(
    rows: FileRows, features: tuple[str, ...], options: EmptyCellOptions, issues: Issues
) -> tuple[FileRows, tuple[str, ...]]:
    """Returns rows without empty cells and the features that remain; adds a repair or an issue about the empty cells."""
    empty = np.isnan(rows.cells)
    if not empty.any():
        return rows, features
    if options.missing == "drop_column":
        return _without(rows, features, empty, issues)
    values = rows.cells if options.missing == "error" else _fill(rows.cells, options.missing, rows.boundaries)
    left = np.isnan(values)
    worst = np.array([_longest(column) for column in empty.T])
    if left.any():
        issues.add(
            _summary(left, rows, features, "empty"), _fix(empty, worst, rows, features, options), "drop their rows"
        )
    elif worst.max() > options.missing_limit:
        column = int(worst.argmax())
        issues.add(
            f"column {features[column]!r} has {worst[column]} empty cells one after the other, more than missing_limit "
            f"{options.missing_limit}, first at {_row(empty[:, column], rows)}",
            _fix(empty, worst, rows, features, options),
            "data.missing=drop_column",
        )
    else:
        issues.add_repair(
            f"{_summary(empty, rows, features, 'empty')}; filled by {options.missing}, at most {worst.max()} one after the other"
        )
    return replace(rows, cells=np.where(np.isnan(values), 0.0, values)), features


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


def _fill(values: Floats, how: str, boundaries: Sequence[int]) -> Floats:
    edges = [0, *boundaries, len(values)]
    parts = [pd.DataFrame(values[start:stop]) for start, stop in pairwise(edges)]
    done = [part.ffill() if how == "ffill" else part.interpolate(limit_direction="both") for part in parts]
    return np.concatenate([part.to_numpy() for part in done])


def _longest(empty: Flags) -> int:
    return max((stop - start for start, stop in runs(empty)), default=0)


def _fix(
    empty: Flags, worst: Integers, rows: FileRows, features: tuple[str, ...], options: EmptyCellOptions
) -> dict[str, Any]:
    """Returns settings after which no cell is empty: columns that are mostly empty are left out, the others are filled."""
    poor = empty.mean(axis=0) > 0.5
    fix: dict[str, Any] = {"ignore": [features[column] for column in np.flatnonzero(poor)]} if poor.any() else {}
    rest = empty[:, ~poor]
    if not rest.any():
        return fix
    hows = [
        how for how in ("ffill", "interpolate") if not np.isnan(_fill(rows.cells[:, ~poor], how, rows.boundaries)).any()
    ]
    if not hows:
        return fix | {"missing": "drop_column"}
    longest = int(worst[~poor].max())
    return fix | {"missing": hows[0]} | ({"missing_limit": longest} if longest > options.missing_limit else {})


class ForwardFill:
    """Fills empty cells of rows that arrive in chunks with the last value above, even if that was in an earlier chunk.

    Unlike `missing: ffill` on a whole file it does not see segments, so a cell after a gap gets the value before the gap.

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

    def __call__(self, cells: Floats) -> Floats:
        """Returns the (n, F) cells with empty ones filled; NaN where no value is above.

        Raises:
            DataError: if a stretch of empty cells is longer than the limit.
        """
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
            self._last = values[-1]
        return values
