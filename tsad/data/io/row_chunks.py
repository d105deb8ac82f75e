"""Rows of a file chunk by chunk, as a detector takes them, by a reading that needs no later row."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Flags, Floats, Times
from tsad.data.io.empty_cells import ForwardFill
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.reading import feature_sources
from tsad.data.io.regular import gap_seconds
from tsad.data.io.states import with_states
from tsad.data.io.table_files import Chunk, TableFile
from tsad.data.io.time_parts import time_cells
from tsad.data.io.times import to_times
from tsad.data.io.values import to_values
from tsad.errors import DataError, shown


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


def row_chunks(
    table: TableFile, chunks: Iterable[Chunk], features: Sequence[str], read_options: ReadOptions
) -> Iterator[RowChunk]:
    """Yields the rows of a file, chunk by chunk, if its reading is streamable.

    Args:
        table: File, opened with the same `read_options`.
        chunks: All its chunks, in order.
        features: Names of the features.
        read_options: How the rows are read.

    Raises:
        DataError: naming file, rows and column of whatever is no row of these features, or of times that do not ascend.
    """
    columns = feature_sources(features, read_options)
    check_columns(table, columns)
    source, time = str(table.path), read_options.time_columns
    fill = ForwardFill(features, source, read_options.missing_limit) if read_options.missing == "ffill" else None
    latest = None
    for chunk in chunks:
        cells = chunk.columns([*columns, *(name for name in time if name not in columns)])
        blank = _blank(chunk, cells)
        cells = cells.loc[~blank]
        where = f"{source}, rows {chunk.first_row}-{chunk.first_row + len(chunk) - 1}"
        times = restarts = None
        if time:
            times = to_times(time_cells(cells, time, read_options.time_format), where, read_options, latest)
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
