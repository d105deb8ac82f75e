"""What is put where a cell is empty."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from tsad.arrays import Floats
from tsad.data.io.issues import Issues
from tsad.data.io.regular import Rows
from tsad.errors import DataError, shown
from tsad.series import runs
from tsad.spec import Spec


class EmptyCellOptions(Spec):
    """What is done with empty cells, in each segment by itself.

    Attributes:
        missing: `error`; `ffill`, the last value above; `interpolate`, a line between the values above and below, or the
            nearest at either end, which reads rows to come and cannot be done live; `drop_column`, do without
            columns that have one.
        missing_limit: Empty cells of a column that may be filled one after the other; a longer stretch is an error.
    """

    missing: Literal["error", "ffill", "interpolate", "drop_column"] = "error"
    missing_limit: int = Field(100, ge=1)


def filled(
    rows: Rows, features: tuple[str, ...], options: EmptyCellOptions, issues: Issues
) -> tuple[Rows, tuple[str, ...]]:
    """Returns rows without empty cells, and the features that are left; notes what was filled, or cannot be."""
    empty = np.isnan(rows.cells)
    if not empty.any():
        return rows, features
    if options.missing == "drop_column":
        return _without(rows, features, empty, issues)
    values = rows.cells if options.missing == "error" else _fill(rows.cells, options.missing, rows.boundaries)
    left = np.isnan(values)
    worst = np.array([_longest(column) for column in empty.T])
    if left.any():
        issues.add(_told(left, rows, features, "empty"), _fix(empty, worst, rows, features, options), "drop their rows")
    elif worst.max() > options.missing_limit:
        place = int(worst.argmax())
        issues.add(
            f"column {features[place]!r} has {worst[place]} empty cells one after the other, more than missing_limit "
            f"{options.missing_limit}, first at {_row(empty[:, place], rows)}",
            _fix(empty, worst, rows, features, options),
            "data.missing=drop_column",
        )
    else:
        issues.add_repair(
            f"{_told(empty, rows, features, 'empty')}; filled by {options.missing}, at most {worst.max()} one after the other"
        )
    return replace(rows, cells=np.where(np.isnan(values), 0.0, values)), features


def _told(empty: NDArray[np.bool_], rows: Rows, features: tuple[str, ...], what: str) -> str:
    places = np.flatnonzero(empty.any(axis=0))
    first = empty[:, places[0]]
    others = [features[place] for place in places[1:]]
    more = (
        f"; so have {len(others)} other columns, {int(empty.sum() - first.sum())} cells ({shown(others)})"
        if others
        else ""
    )
    return f"column {features[places[0]]!r} has {int(first.sum())} {what} cells, first at {_row(first, rows)}{more}"


def _row(empty: NDArray[np.bool_], rows: Rows) -> str:
    return f"row {rows.numbers[int(empty.argmax())]}"


def _without(
    rows: Rows, features: tuple[str, ...], empty: NDArray[np.bool_], issues: Issues
) -> tuple[Rows, tuple[str, ...]]:
    kept = ~empty.any(axis=0)
    if not kept.any():
        issues.fail(
            "every column has empty cells, so that drop_column leaves none", {"missing": "ffill"}, "interpolate"
        )
    issues.add_repair(f"{_told(empty, rows, features, 'empty')}; these columns were left out")
    names = tuple(features[place] for place in np.flatnonzero(kept))
    return replace(rows, cells=rows.cells[:, kept]), names


def _fill(values: Floats, how: str, boundaries: Sequence[int]) -> Floats:
    edges = [0, *boundaries, len(values)]
    parts = [pd.DataFrame(values[start:stop]) for start, stop in pairwise(edges)]
    done = [part.ffill() if how == "ffill" else part.interpolate(limit_direction="both") for part in parts]
    return np.concatenate([part.to_numpy() for part in done])


def _longest(empty: NDArray[np.bool_]) -> int:
    return max((stop - start for start, stop in runs(empty)), default=0)


def _fix(
    empty: NDArray[np.bool_], worst: NDArray[np.int64], rows: Rows, features: tuple[str, ...], options: EmptyCellOptions
) -> dict[str, Any]:
    """Returns settings after which nothing is empty: columns that are mostly empty are left out, the rest is filled."""
    poor = empty.mean(axis=0) > 0.5
    fix: dict[str, Any] = {"ignore": [features[place] for place in np.flatnonzero(poor)]} if poor.any() else {}
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
    """Fills empty cells of rows that come in chunks with the last value above, in whichever chunk that was.

    Unlike `missing: ffill` on a whole file it knows of no segments, so a cell after a gap gets the value before the gap.

    Args:
        features: The F names, for errors.
        source: Of the rows, likewise.
        limit: As `missing_limit`.
    """

    def __init__(self, features: Sequence[str], source: str, limit: int) -> None:
        self._features = features
        self._source = source
        self._limit = limit
        self._last = np.full(len(features), np.nan)
        self._length = np.zeros(len(features), np.int64)
        """Of the stretch of empty cells that the last chunk ended with."""

    def __call__(self, cells: Floats) -> Floats:
        """Returns (n, F) cells filled, NaN where nothing is above; raises `DataError` if a stretch is longer than the limit."""
        values = pd.DataFrame(np.vstack([self._last, cells])).ffill().to_numpy()[1:]
        for place, empty in enumerate(np.isnan(cells).T):
            before = np.full(self._length[place], fill_value=True)
            stretches = runs(np.concatenate([before, empty]))
            longest = max((stop - start for start, stop in stretches), default=0)
            if longest > self._limit:
                raise DataError(
                    f"{self._source}: column {self._features[place]!r} has {longest} empty cells one after the other, more than "
                    f"missing_limit {self._limit}; give them a value, or a higher data.missing_limit"
                )
            whole = len(before) + len(empty)
            self._length[place] = whole - stretches[-1][0] if stretches and stretches[-1][1] == whole else 0
        if len(values):
            self._last = values[-1]
        return values
