"""Rows in the order of their times, at one step, with boundaries where rows are missing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from tsad.arrays import Flags, Floats, Integers, Times
from tsad.data.io.issues import Cost, Issues
from tsad.data.io.sentinels import StrayTimeOptions, judge_stray_times, stray_times
from tsad.spec import Spec

_GAP_RATIO = 1.5
"""Step in median steps above which at least one row is missing."""


@dataclass(frozen=True, eq=False)
class FileRows:
    """Rows of a file before they become a series.

    Attributes:
        cells: (T, F) values, NaN where a cell is empty.
        numbers: (T,) numbers of the rows in the file; an inserted row has the number of the row above it.
        labels: (T,) True where a row is anomalous; None without labels.
        times: (T,) datetime64[ns]; None without times.
        boundaries: Rows at which a new segment begins.
        positions: (N,) row here that each row of the file went into, -1 for a row that was left out; None if they are the same.
        entities: Name and first row of each entity; nothing for a single one.
        origin: Row among those that `positions` counts that is the first one here; rows outside of these were left out.
    """

    cells: Floats
    numbers: Integers
    labels: Flags | None = None
    times: Times | None = None
    boundaries: tuple[int, ...] = ()
    positions: Integers | None = None
    entities: tuple[tuple[str, int], ...] = ()
    origin: int = 0

    @property
    def mapping(self) -> Integers:
        """(N,) row here that each row of the file went into, -1 for a row that was left out."""
        if self.positions is None:
            return np.arange(len(self.cells))
        own = self.positions - self.origin
        return np.where((own >= 0) & (own < len(self.cells)), own, -1)

    def moved(self, targets: Integers) -> Integers:
        """Returns the mapping after row i here went into row `targets[i]`, or was left out (-1)."""
        mapping = self.mapping
        return np.where(mapping >= 0, targets[np.maximum(mapping, 0)], -1)

    @property
    def nanoseconds(self) -> Integers:
        """(T,) times in nanoseconds since 1970, for rows that have times."""
        return np.asarray(self.times, "datetime64[ns]").astype(np.int64)

    @property
    def steps(self) -> Floats:
        """(T - 1,) seconds from each row to the next, for rows that have times."""
        return np.diff(self.nanoseconds) / 1e9

    def select(self, indices: Integers) -> "FileRows":
        """Returns the rows at these indices, each at most once, in their order, without boundaries."""
        targets = np.full(len(self.cells), -1)
        targets[indices] = np.arange(len(indices))
        return replace(self.part(indices), positions=self.moved(targets))

    def stretch(self, start: int, stop: int) -> "FileRows":
        """Returns the rows from `start` on, before `stop`, without copying anything, with the boundaries inside them."""
        boundaries = tuple(row - start for row in self.boundaries if start < row < stop)
        return replace(
            self.part(slice(start, stop)),
            boundaries=boundaries,
            positions=self.mapping if self.positions is None else self.positions,
            origin=self.origin + start,
        )

    def part(self, indices: Integers | slice) -> "FileRows":
        """Returns the rows at these indices as if a file held them alone, without boundaries."""
        labels = None if self.labels is None else self.labels[indices]
        times = None if self.times is None else self.times[indices]
        return FileRows(self.cells[indices], self.numbers[indices], labels, times)


class ResampleSpec(Spec):
    """Combines all rows of a time step into one row.

    A row covers the times from its own up to, but not including, that of the next row. It is anomalous if one of the rows
    combined in it is.

    Attributes:
        step: Time from one row to the next, such as `60s`, `5min`, `1h`; steps begin at midnight, UTC.
        how: Value of a feature: the `mean`, the `last` or the `max` of its cells that are not empty.
    """

    step: str = Field(pattern=r"^[1-9]\d*(ms|s|min|h|D)$")
    how: Literal["mean", "last", "max"] = "mean"

    @property
    def nanoseconds(self) -> int:
        """Length of the step in nanoseconds."""
        return int(pd.Timedelta(self.step).value)


class OrderOptions(StrayTimeOptions):
    """Treatment of rows whose times do not ascend step by step.

    Attributes:
        unsorted: Treatment of rows earlier than the row above: `error`, or `sort` all rows.
        duplicates: Treatment of rows of equal time: `error`, the `first` or the `last` of them, their `mean` (anomalous if one
            of them is), or `keep` all.
        resample: How to make a regular series of irregular rows; null leaves the rows as they are.
        gaps: Treatment of rows more than `gap` steps apart: `break` puts them into two segments, which no window crosses;
            `fill` inserts empty rows wherever rows are missing, for `missing` to fill; `error`.
        gap: Length of a gap in median steps (in steps of `resample`, if given), at least 1.5.
    """

    unsorted: Literal["error", "sort"] = "error"
    duplicates: Literal["error", "first", "last", "mean", "keep"] = "error"
    resample: ResampleSpec | None = None
    gaps: Literal["break", "fill", "error"] = "break"
    gap: float = Field(10.0, ge=1.5)


def order_rows(rows: FileRows, options: OrderOptions, issues: Issues, step: float | None = None) -> FileRows:
    """Returns rows whose times ascend, at a regular step if `resample` asks for it; rows without times stay as they are.

    Args:
        rows: Rows of one entity.
        options: Treatment of rows whose times do not ascend step by step.
        issues: Receives issues and repairs.
        step: Usual seconds from row to row, that gaps are measured by; None takes the median of these rows.
    """
    if rows.times is None or not len(rows.cells):
        if options.resample is not None:
            issues.add("rows without times cannot be resampled", {"resample": None}, "name the column in data.time")
        return rows
    rows = _unique(_sorted(_without_stray_times(rows, options, issues), options, issues), options, issues)
    if options.resample is not None:
        rows = _resampled(rows, options.resample)
    return _without_gaps(rows, options, issues, step)


def _without_stray_times(rows: FileRows, options: OrderOptions, issues: Issues) -> FileRows:
    """Returns the rows without those of stray times, which are judged first: sorted, they would only look like a gap."""
    if options.stray_times == "keep" or not (stray := stray_times(rows.nanoseconds)).any():
        return rows
    judge_stray_times(stray, rows.nanoseconds, rows.numbers, options, issues)
    return rows.select(np.flatnonzero(~stray))


def _sorted(rows: FileRows, options: OrderOptions, issues: Issues) -> FileRows:
    steps = rows.steps
    back = np.flatnonzero(steps < 0)
    if not len(back):
        return rows
    row = rows.numbers[back[0] + 1]
    if options.unsorted == "sort":
        issues.add_repair(f"{len(back)} rows were before the row above, first row {row}; rows were sorted")
    else:
        text = f"times must ascend, but row {row} is before the row above" + (
            f", and so are {len(back) - 1} others" if len(back) > 1 else ""
        )
        if (np.abs(np.median(steps) - steps[back] - 3600) < 1).all():  # the rows go on one hour earlier
            issues.fail(
                f"{text}, by one hour, as where a clock is set back",
                advice="name the zone of the clock in data.time_zone, such as Europe/Berlin",
            )
        issues.add(text, {"unsorted": "sort"}, "sort the file")
    return rows.select(np.argsort(rows.nanoseconds, kind="stable"))


def _unique(rows: FileRows, options: OrderOptions, issues: Issues) -> FileRows:
    again = np.concatenate([[False], rows.steps == 0])
    if not again.any() or options.duplicates == "keep" or options.resample is not None:
        return rows
    row = rows.numbers[int(again.argmax())]
    text = f"{int(again.sum())} rows have the time of the row above, first row {row}"
    if options.duplicates == "error":
        same = np.array_equal(rows.cells[again], rows.cells[np.flatnonzero(again) - 1], equal_nan=True)
        cost = Cost("rows merged", int(again.sum()), len(rows.cells))
        how = "first" if same else "mean" if cost.is_cheap else "keep"
        issues.add(
            text,
            {"duplicates": how},
            "data.duplicates=first, last or mean, or data.resample for rows at a regular step",
            cost if how == "mean" else None,
        )
    else:
        issues.add_repair(f"{text}; of rows of one time the {options.duplicates} was taken")
    how = {"error": "first"}.get(options.duplicates, options.duplicates)
    return _merged(rows, np.flatnonzero(~again), how)


def _resampled(rows: FileRows, spec: ResampleSpec) -> FileRows:
    step = spec.nanoseconds
    bins = rows.nanoseconds // step * step
    starts = np.flatnonzero(np.concatenate([[True], np.diff(bins) > 0]))
    return replace(_merged(rows, starts, spec.how), times=bins[starts].astype("datetime64[ns]"))


def _merged(rows: FileRows, starts: Integers, how: str) -> FileRows:
    """Returns one row for each group of rows that begins at one of `starts`."""
    groups = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows.cells))))
    grouped = pd.DataFrame(rows.cells).groupby(groups)
    cells = grouped.agg(how).to_numpy()
    labels = None if rows.labels is None else np.logical_or.reduceat(rows.labels, starts)
    return replace(rows.select(starts), cells=cells, labels=labels, positions=rows.moved(groups))


def _without_gaps(rows: FileRows, options: OrderOptions, issues: Issues, usual: float | None) -> FileRows:
    """Returns the rows with boundaries or empty rows where time is missing."""
    steps = rows.steps
    step = usual or (float(np.median(steps)) if len(steps) else 0.0)
    if options.resample is not None:
        step = options.resample.nanoseconds / 1e9
    if step <= 0:
        return rows
    wide = steps > gap_seconds(options.gap, step)
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
    fill = (steps > _GAP_RATIO * step) & (options.gaps == "fill" or (options.resample is not None and ~wide))
    counts = np.where(fill, absent, 0)
    if counts.sum() > 10 * len(rows.cells):
        issues.add(
            f"filling the gaps would add {int(counts.sum())} rows of {step:g} s to {len(rows.cells)} rows",
            {"gaps": "break"},
        )
        return rows
    if counts.any():
        issues.add_repair(f"{int(counts.sum())} empty rows were inserted in {int(fill.sum())} gaps")
    segmented = replace(
        rows, boundaries=() if options.gaps != "break" else tuple(int(row) + 1 for row in np.flatnonzero(wide))
    )
    return _widened(segmented, counts, step) if counts.any() else segmented


def gap_seconds(gap: float, step: float) -> float:
    """Returns the seconds from one row to the next above which a gap of `gap` steps is between them, whatever was rounded."""
    return gap * step * (1 + 1e-9)


def _widened(rows: FileRows, counts: Integers, step: float) -> FileRows:
    """Returns the rows with as many empty rows inserted after each as `counts` says, one step apart."""
    repeats = np.append(counts, 0) + 1
    sources = np.repeat(np.arange(len(repeats)), repeats)
    first = np.cumsum(repeats) - repeats
    later = np.arange(len(sources)) - first[sources]
    inserted = later > 0
    wide = rows.part(sources)
    return FileRows(
        cells=np.where(inserted[:, None], np.nan, wide.cells),
        numbers=wide.numbers,
        labels=None if wide.labels is None else wide.labels & ~inserted,
        times=(rows.nanoseconds[sources] + later * round(step * 1e9)).astype("datetime64[ns]"),
        boundaries=tuple(int(first[row]) for row in rows.boundaries),
        positions=rows.moved(first),
    )


def joined(rows: FileRows, parts: Sequence[tuple[str, Integers, FileRows]]) -> FileRows:
    """Returns the rows of entities one after the other, with a boundary before each.

    Args:
        rows: Rows of all of them.
        parts: Name of each entity, the indices of its rows in `rows`, and what became of `rows.part` of these.
    """
    names, members, parts = zip(*parts, strict=True)
    edges = np.cumsum([0, *(len(part.cells) for part in parts)])
    targets = np.full(len(rows.cells), -1)
    for indices, part, edge in zip(members, parts, edges, strict=False):
        targets[indices] = np.where(part.mapping >= 0, part.mapping + edge, -1)
    inner = [row + int(edge) for part, edge in zip(parts, edges, strict=False) for row in (0, *part.boundaries)]
    labels = [part.labels for part in parts if part.labels is not None]
    times = [part.times for part in parts if part.times is not None]
    return FileRows(
        cells=np.concatenate([part.cells for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        labels=np.concatenate(labels) if len(labels) == len(parts) else None,
        times=np.concatenate(times) if len(times) == len(parts) else None,
        boundaries=tuple(inner[1:]),
        positions=rows.moved(targets),
        entities=tuple((name, int(edge)) for name, edge in zip(names, edges, strict=False)),
    )


def median_step(rows: FileRows) -> float | None:
    """Returns the median seconds from row to row; None without times, or if most rows have equal times."""
    if rows.times is None or len(rows.times) < 2:
        return None
    step = float(np.median(rows.steps[rows.steps > 0])) if (rows.steps > 0).any() else 0.0
    return step or None


def step_seconds(*parts: FileRows) -> float | None:
    """Returns the median seconds between rows of a segment; None without times, or if a step differs by more than 1 %."""
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
