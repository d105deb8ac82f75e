"""Rows of files for a detector, read as its training rows were unless other settings are given."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Flags, Floats, Times
from tsad.data.io.empty_cells import ForwardFill
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.reading import feature_sources
from tsad.data.io.regular import gap_seconds
from tsad.data.io.states import with_states
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.times import time_cells, to_times
from tsad.data.io.values import to_values
from tsad.errors import DataError, UsageError, shown
from tsad.spec import Spec, parse, put
from tsad.workflows.events import Message, OnEvent, RowsRead

_TOLERANCE = 0.01
"""Share by which two steps may differ and still count as equal."""
_REGULAR = 0.9
"""Fraction of the steps of a file that are equal, at least, if it has a step of its own."""
_STEP_ROWS = 1000
"""Number of rows that the step of a file is read off."""


class _DataSection(Spec):
    """A section of its own, so that mistakes are named by the path that they would have in an experiment."""

    data: ReadOptions


class RowChunk(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        chunk: Rows as they stand in the file.
        blank: (N,) True where a row of the chunk has no cell at all.
        values: (n, F) values of the features of the other rows.
        times: (n,) times of these rows; None without times.
    """

    chunk: Chunk
    blank: Flags
    values: Floats
    times: Times | None


def open_rows(
    path: Path, folder: Path, overrides: Mapping[str, Any], on_event: OnEvent
) -> tuple[TableFile, ReadOptions]:
    """Returns a file and its read options: those of the detector's training rows, but with the step of the file.

    A step that differs from that of the training rows is reported in a message.

    Args:
        path: Path of the file.
        folder: Folder of the detector.
        overrides: Read options by path, such as `data.time`.
        on_event: Callback for the message.

    Raises:
        DataError: if the file is no table of this form, or has no such column of times.
        DetectorError: if the read options of the detector are damaged.
        SpecError: if an override is no read option.
    """
    learned = ReadOptions.load(folder)
    read_options = parse(
        _DataSection, put({"data": learned.model_dump(mode="json")}, overrides), "how rows are read"
    ).data
    if read_options.time is None and overrides.get("data.step_seconds") is not None:
        raise UsageError("a step is the time between rows, but no column of times is named; give --time COLUMN too")
    table = open_table(path, read_options)
    absent = [name for name in read_options.time_columns if name not in table.names]
    if absent:
        raise DataError(
            f"{path}: column {absent[0]!r} is missing, which holds the times; it has {table.names}; name another with "
            f"--time COLUMN"
        )
    if read_options.time is None or read_options.step_seconds is None or learned.step_seconds is None:
        return table, read_options
    step = (
        read_options.step_seconds if read_options.step_seconds != learned.step_seconds else _step(table, read_options)
    )
    if step is None or abs(step - learned.step_seconds) <= _TOLERANCE * learned.step_seconds:
        return table, read_options
    on_event(
        Message(
            f"{path}: its rows are {step:g} s apart, but the detector was trained on rows {learned.step_seconds:g} s apart, so "
            f"its scores may mean little"
        )
    )
    return table, read_options.model_copy(update={"step_seconds": step})


def _step(table: TableFile, read_options: ReadOptions) -> float | None:
    """Returns the seconds between the first rows of a file; None if they vary, or if rows are put in order before."""
    chunk = next(table.chunks(_STEP_ROWS), None)
    if chunk is None or len(chunk) < 2 or not read_options.is_streamable:
        return None
    cells = time_cells(chunk.columns(read_options.time_columns), read_options.time_columns).dropna()
    steps = np.diff(to_times(cells, str(table.path), read_options)) / np.timedelta64(1, "s")
    step = float(np.median(steps)) if len(steps) else 0.0
    return step if step > 0 and (np.abs(steps - step) <= _TOLERANCE * step).mean() > _REGULAR else None


def read_rows(
    table: TableFile, features: Sequence[str], read_options: ReadOptions, rows_at_once: int, on_event: OnEvent
) -> Iterator[RowChunk]:
    """Yields the rows of a file, chunk by chunk, if its reading is streamable.

    Args:
        table: File, opened with the same `read_options`.
        features: Names of the features.
        read_options: How the rows are read.
        rows_at_once: Largest number of rows in a chunk.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, rows and column of whatever is no row of these features, or of times that do not ascend.
    """
    columns = feature_sources(features, read_options)
    check_columns(table, columns)
    source, time = str(table.path), read_options.time_columns
    fill = ForwardFill(features, source, read_options.missing_limit) if read_options.missing == "ffill" else None
    latest = None
    for chunk in read_chunks(table, rows_at_once, on_event):
        cells = chunk.columns([*columns, *(name for name in time if name not in columns)])
        blank = _blank(chunk, cells)
        cells = cells.loc[~blank]
        where = f"{source}, rows {chunk.first_row}-{chunk.first_row + len(chunk) - 1}"
        times = restarts = None
        if time:
            times = to_times(time_cells(cells, time), where, read_options, latest)
            _check_order(table.path, cells, time, times, latest)
            restarts = gap_restarts(times, latest, read_options)
            latest = times[-1] if len(times) else latest
        issues = Issues(where)
        frame = with_states(cells[columns], read_options, issues, features)
        if issues.items:
            raise FatalIssueError(issues.items[0])
        filled = (
            np.nan_to_num if read_options.missing == 0 else None if fill is None else partial(fill, restarts=restarts)
        )
        yield RowChunk(chunk, blank, to_values(frame, features, where, read_options.empty, filled), times)


def _blank(chunk: Chunk, cells: pd.DataFrame) -> Flags:
    """Returns (N,) True where a row has no cell at all; a single column may be empty, which `missing` decides about."""
    blank = cells.isna().all(axis=1).to_numpy()
    if not blank.any() or len(chunk.names) == 1:
        return np.zeros(len(cells), bool)
    return blank & chunk.columns(chunk.names).isna().all(axis=1).to_numpy()


def gap_restarts(times: Times, latest: np.datetime64 | None, read_options: ReadOptions) -> Flags:
    """Returns (n,) True where a new segment begins, as `order_rows` puts a boundary."""
    if read_options.step_seconds is None or not len(times):
        return np.zeros(len(times), bool)
    steps = np.diff(times, prepend=times[:1] if latest is None else latest) / np.timedelta64(1, "s")
    return np.asarray(steps > gap_seconds(read_options.gap, read_options.step_seconds))


def _check_order(
    path: Path, cells: pd.DataFrame, time: Sequence[str], times: Times, latest: np.datetime64 | None
) -> None:
    late = np.diff(times, prepend=times[:1] if latest is None else latest) <= np.timedelta64(0)
    late[:1] &= latest is not None
    if late.any():
        index = int(late.argmax())
        equal = index > 0 and times[index] == times[index - 1]
        setting = "data.duplicates=first" if equal else "data.unsorted=sort"
        raise DataError(
            f"{path}: column {' '.join(time)!r} must ascend, but row {cells.index[index]} has "
            f"{shown(time_cells(cells, time).iloc[index])}, which is not after the row above; sort the file, or give "
            f"--set {setting}"
        )


def check_columns(table: TableFile, names: Sequence[str]) -> None:
    """Raises `DataError` unless a file has all these columns."""
    absent = [name for name in names if name not in table.names]
    if absent:
        raise DataError(f"{table.path}: column {absent[0]!r} is missing; it has {table.names}")


def read_chunks(table: TableFile, rows_at_once: int, on_event: OnEvent) -> Iterator[Chunk]:
    """Yields the chunks of a file, and reports after each how much was read."""
    done = 0
    for chunk in table.chunks(rows_at_once):
        yield chunk
        done += chunk.size
        on_event(RowsRead(table.path.name, done, table.size, table.unit))
