"""Rows in the order of their times, at one step, with boundaries where time is missing."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from tsad.arrays import Floats
from tsad.data.io.issues import Issues
from tsad.spec import Spec

_LONGER = 1.5
"""Times the median step from which on a row is missing."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a file on their way to a series.

    Attributes:
        cells: (T, F), NaN where one is empty.
        numbers: (T,) of the rows in the file; of rows that were made, that of the row above.
        labels: (T,) bool, or None.
        times: (T,) datetime64[ns], or None.
        boundaries: Rows at which a new segment begins.
    """

    cells: Floats
    numbers: NDArray[np.int64]
    labels: NDArray[np.bool_] | None = None
    times: NDArray[np.datetime64] | None = None
    boundaries: tuple[int, ...] = ()

    @property
    def moments(self) -> NDArray[np.int64]:
        """(T,) times in nanoseconds since 1970; only of rows that have times."""
        return np.asarray(self.times, "datetime64[ns]").astype(np.int64)

    @property
    def steps(self) -> Floats:
        """(T - 1,) seconds from each row to the next; only of rows that have times."""
        return np.diff(self.moments) / 1e9

    def taken(self, places: NDArray[np.int64]) -> "Rows":
        """Returns some of the rows, in the order of `places`; their boundaries are gone."""
        labels = None if self.labels is None else self.labels[places]
        times = None if self.times is None else self.times[places]
        return Rows(self.cells[places], self.numbers[places], labels, times)


class ResampleSpec(Spec):
    """Several rows made into one.

    A row stands for the times from its own up to, not including, the next. It is anomalous if a row in it is.

    Attributes:
        step: From one row to the next, such as `60s`, `5min`, `1h`; steps begin at midnight, UTC.
        how: The value of a feature: `mean`, `last` or `max` of those that are not empty.
    """

    step: str = Field(pattern=r"^[1-9]\d*(ms|s|min|h|D)$")
    how: Literal["mean", "last", "max"] = "mean"

    @property
    def nanoseconds(self) -> int:
        """The step."""
        return int(pd.Timedelta(self.step).value)


class OrderOptions(Spec):
    """What is done where times do not go on step by step.

    Attributes:
        unsorted: Rows before the row above: `error`, or `sort` all rows.
        duplicates: Rows of one time: `error`, `first` or `last` of them, their `mean` (anomalous if one of them is), or
            `keep` all.
        resample: Make a regular series of rows that come as they like; none as they are, if not given.
        gaps: `break`, rows more than `gap` steps apart are of two segments, and no window reaches across; `fill`, put empty
            rows wherever one or more are missing, for `missing` to fill; `error`.
        gap: In median steps (steps of `resample`, if given).
    """

    unsorted: Literal["error", "sort"] = "error"
    duplicates: Literal["error", "first", "last", "mean", "keep"] = "error"
    resample: ResampleSpec | None = None
    gaps: Literal["break", "fill", "error"] = "break"
    gap: float = Field(10.0, ge=1.5)


def in_time(rows: Rows, options: OrderOptions, issues: Issues) -> Rows:
    """Returns rows whose times ascend, at a regular step if asked for; without times they stay as they are."""
    if rows.times is None or not len(rows.cells):
        if options.resample is not None:
            issues.add("rows without times cannot be resampled", {"resample": None}, "name the column in data.time")
        return rows
    rows = _unique(_sorted(rows, options, issues), options, issues)
    if options.resample is not None:
        rows = _resampled(rows, options.resample)
    return _without_gaps(rows, options, issues)


def _sorted(rows: Rows, options: OrderOptions, issues: Issues) -> Rows:
    steps = rows.steps
    back = np.flatnonzero(steps < 0)
    if not len(back):
        return rows
    row = rows.numbers[back[0] + 1]
    if options.unsorted == "sort":
        issues.add_repair(f"{len(back)} rows were before the row above, first row {row}; rows were sorted")
    else:
        clock = (
            "" if (-steps[back] > 3600).any() else "if the clock was put back there, name its zone in data.time_zone"
        )
        issues.add(
            f"times must ascend, but row {row} is before the row above"
            + (f", and so are {len(back) - 1} others" if len(back) > 1 else ""),
            {"unsorted": "sort"},
            clock or "sort the file",
        )
    return rows.taken(np.argsort(rows.moments, kind="stable"))


def _unique(rows: Rows, options: OrderOptions, issues: Issues) -> Rows:
    again = np.concatenate([[False], rows.steps == 0])
    if not again.any() or options.duplicates == "keep" or options.resample is not None:
        return rows
    row = rows.numbers[int(again.argmax())]
    text = f"{int(again.sum())} rows have the time of the row above, first row {row}"
    if options.duplicates == "error":
        same = np.array_equal(rows.cells[again], rows.cells[np.flatnonzero(again) - 1], equal_nan=True)
        issues.add(text, {"duplicates": "first" if same else "mean"}, "one of first, last, mean, keep")
    else:
        issues.add_repair(f"{text}; of rows of one time the {options.duplicates} was taken")
    how = {"error": "first"}.get(options.duplicates, options.duplicates)
    return _merged(rows, np.flatnonzero(~again), how)


def _resampled(rows: Rows, spec: ResampleSpec) -> Rows:
    step = spec.nanoseconds
    bins = rows.moments // step * step
    starts = np.flatnonzero(np.concatenate([[True], np.diff(bins) > 0]))
    return replace(_merged(rows, starts, spec.how), times=bins[starts].astype("datetime64[ns]"))


def _merged(rows: Rows, starts: NDArray[np.int64], how: str) -> Rows:
    """Returns one row for each group of rows that begins at one of `starts`."""
    groups = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows.cells))))
    grouped = pd.DataFrame(rows.cells).groupby(groups)
    cells = grouped.agg(how).to_numpy()
    labels = None if rows.labels is None else np.logical_or.reduceat(rows.labels, starts)
    return replace(rows.taken(starts), cells=cells, labels=labels)


def _without_gaps(rows: Rows, options: OrderOptions, issues: Issues) -> Rows:
    """Returns the rows with boundaries or empty rows where time is missing."""
    steps = rows.steps
    step = float(np.median(steps)) if len(steps) else 0.0
    if options.resample is not None:
        step = options.resample.nanoseconds / 1e9
    if step <= 0:
        return rows
    wide = steps > options.gap * step * (1 + 1e-9)
    if wide.any() and options.gaps != "fill":
        text = (
            f"{int(wide.sum())} gaps are longer than {options.gap:g} steps of {step:g} s, first after row "
            f"{rows.numbers[int(wide.argmax())]} ({steps[wide][0]:g} s)"
        )
        if options.gaps == "error":
            issues.add(text, {"gaps": "break"}, "data.gaps=fill, or a larger data.gap")
        else:
            issues.add_repair(f"{text}; a new segment begins after each")
    absent = np.round(steps / step).astype(np.int64) - 1
    fill = (steps > _LONGER * step) & (options.gaps == "fill" or (options.resample is not None and ~wide))
    counts = np.where(fill, absent, 0)
    if counts.sum() > 10 * len(rows.cells):
        issues.add(
            f"filling the gaps would add {int(counts.sum())} rows of {step:g} s to {len(rows.cells)} rows",
            {"gaps": "break"},
        )
        return rows
    if counts.any():
        issues.add_repair(f"{int(counts.sum())} empty rows were put where {int(fill.sum())} gaps were")
    kept = replace(
        rows, boundaries=() if options.gaps != "break" else tuple(int(row) + 1 for row in np.flatnonzero(wide))
    )
    return _widened(kept, counts, step) if counts.any() else kept


def _widened(rows: Rows, counts: NDArray[np.int64], step: float) -> Rows:
    """Returns the rows with as many empty ones after each as `counts` says, a step apart."""
    repeats = np.append(counts, 0) + 1
    places = np.repeat(np.arange(len(repeats)), repeats)
    first = np.cumsum(repeats) - repeats
    later = np.arange(len(places)) - first[places]
    made = later > 0
    wide = rows.taken(places)
    return Rows(
        cells=np.where(made[:, None], np.nan, wide.cells),
        numbers=wide.numbers,
        labels=None if wide.labels is None else wide.labels & ~made,
        times=(rows.moments[places] + later * round(step * 1e9)).astype("datetime64[ns]"),
        boundaries=tuple(int(first[row]) for row in rows.boundaries),
    )


def step_seconds(*parts: Rows) -> float | None:
    """Returns the median time between rows of a segment, None without times or if one departs from it by more than 1 %."""
    steps = []
    for part in parts:
        if part.times is not None and len(part.times) > 1:
            inner = np.ones(len(part.times) - 1, bool)
            inner[[row - 1 for row in part.boundaries]] = False
            steps.append(part.steps[inner])
    seconds = np.concatenate(steps) if steps else np.empty(0)
    if not len(seconds):
        return None
    step = float(np.median(seconds))
    return step if step > 0 and (np.abs(seconds - step) <= 0.01 * step).all() else None
