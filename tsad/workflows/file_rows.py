"""Rows of files for a detector, read as its training rows were unless other settings are given."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.time_parts import time_cells
from tsad.data.io.times import to_times
from tsad.errors import DataError, UsageError
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
    cells = time_cells(
        chunk.columns(read_options.time_columns), read_options.time_columns, read_options.time_format
    ).dropna()
    steps = np.diff(to_times(cells, str(table.path), read_options)) / np.timedelta64(1, "s")
    step = float(np.median(steps)) if len(steps) else 0.0
    return step if step > 0 and (np.abs(steps - step) <= _TOLERANCE * step).mean() > _REGULAR else None


def read_chunks(table: TableFile, rows_at_once: int, on_event: OnEvent) -> Iterator[Chunk]:
    """Yields the chunks of a file, and reports after each how much was read."""
    done = 0
    for chunk in table.chunks(rows_at_once):
        yield chunk
        done += chunk.size
        on_event(RowsRead(table.path.name, done, table.size, table.unit))
