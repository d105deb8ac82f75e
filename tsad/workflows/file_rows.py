"""Rows of files for a detector, read by the options that its training rows were read by unless others are set."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsad.arrays import Floats, Times
from tsad.data.io.empty_cells import ForwardFill
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.times import to_times
from tsad.data.io.values import to_values
from tsad.errors import DataError, UsageError
from tsad.spec import Spec, parse, put
from tsad.workflows.events import Message, OnEvent, RowsRead

_TOLERANCE = 0.01
"""Share by which two steps may differ and still count as equal."""
_STEP_ROWS = 1000
"""Number of rows that the step of a file is read off."""


class _DataSection(Spec):
    """A section of its own, so that mistakes are named by the path that they would have in an experiment."""

    data: ReadOptions


class RowChunk(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        chunk: Rows as they stand in the file.
        values: (n, F) values of the features.
        times: (n,) times of the rows; None if they are not read.
    """

    chunk: Chunk
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
    if read_options.time is not None and read_options.time not in table.names:
        raise DataError(
            f"{path}: column {read_options.time!r} is missing, which holds the times; it has {table.names}; name another with "
            f"--time, or score without times (--set data.time=null)"
        )
    if read_options.time is None or read_options.step_seconds is None or learned.step_seconds is None:
        return table, read_options
    step = (
        read_options.step_seconds
        if read_options.step_seconds != learned.step_seconds
        else _step(table, read_options, read_options.time)
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


def _step(table: TableFile, read_options: ReadOptions, time: str) -> float | None:
    """Returns the median seconds between the first rows of a file; None if they do not tell."""
    chunk = next(table.chunks(_STEP_ROWS), None)
    if chunk is None or len(chunk) < 2:
        return None
    times = to_times(chunk.columns([time])[time], str(table.path), read_options)
    step = float(np.median(np.diff(times) / np.timedelta64(1, "s")))
    return step if step > 0 else None


def read_rows(
    table: TableFile,
    features: Sequence[str],
    read_options: ReadOptions,
    rows_at_once: int,
    on_event: OnEvent,
    *,
    timed: bool,
) -> Iterator[RowChunk]:
    """Yields the rows of a file, chunk by chunk.

    Args:
        table: File, opened with the same `read_options`.
        features: Names of the columns of values.
        read_options: Options by which cells become numbers and times.
        rows_at_once: Largest number of rows in a chunk.
        on_event: Callback for progress.
        timed: Whether to read the column `read_options.time`, if there is one, whose times must ascend.

    Raises:
        DataError: naming file, rows and column of whatever is no row of these features.
    """
    name = read_options.time if timed else None
    check_columns(table, features)
    fill = (
        ForwardFill(features, str(table.path), read_options.missing_limit) if read_options.missing == "ffill" else None
    )
    latest = None
    for chunk in read_chunks(table, rows_at_once, on_event):
        source = f"{table.path}, rows {chunk.first_row}-{chunk.first_row + len(chunk) - 1}"
        values, times = to_values(chunk.columns(features), features, source, read_options.empty, fill), None
        if name is not None:
            times = to_times(chunk.columns([name])[name], source, read_options)
            _check_order(table.path, name, chunk, times, latest)
            latest = times[-1]
        yield RowChunk(chunk, values, times)


def _check_order(path: Path, name: str, chunk: Chunk, times: Times, latest: np.datetime64 | None) -> None:
    late = np.diff(times, prepend=times[:1] if latest is None else latest) <= np.timedelta64(0)
    late[:1] &= latest is not None
    if late.any():
        index = int(late.argmax())
        raise DataError(
            f"{path}: column {name!r} must ascend, but row {chunk.first_row + index} has {chunk.texts(name)[index]!r}, which is "
            f"not after the row above; sort the file, or score without times (--set data.time=null)"
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
