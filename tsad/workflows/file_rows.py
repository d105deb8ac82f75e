"""Rows of files for a detector: read as those that it learned from, unless told otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tsad.arrays import Times
from tsad.data.io.empty_cells import ForwardFill
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.times import to_times
from tsad.data.io.values import to_values
from tsad.errors import DataError
from tsad.registry.load import model_folder
from tsad.spec import Spec, parse, put
from tsad.workflows.context import open_place, read_settings

_ALIKE = 0.01
"""Share by which steps may differ and be the same."""
_LOOKED_AT = 1000
"""Rows that tell the step of a file."""


class _Wanted(Spec):
    """Read as a section of its own, so that mistakes are named by the path that an experiment would have."""

    data: ReadOptions


class ChunkRows(NamedTuple):
    """Some rows of a file.

    Attributes:
        chunk: As they stand there.
        values: (n, F).
        times: (n,), None if they are not asked for.
    """

    chunk: Chunk
    values: NDArray[np.float32]
    times: Times | None


def find_folder(model: str) -> Path:
    """Returns the detector's folder behind a folder, or behind a URI, for which the tracking store is opened."""
    if Path(model).is_dir():
        read_settings()
    else:
        open_place()
    return model_folder(model).detector


def opened(path: Path, folder: Path, changes: Mapping[str, Any]) -> tuple[TableFile, ReadOptions]:
    """Returns a file, and how it is read: as the one that a detector learned from, but at its own step.

    A step that is not the one learned is said in a line.

    Args:
        path: Of the file.
        folder: Of the detector.
        changes: Settings that are put at their paths, such as `data.time`.

    Raises:
        DataError: if the file is no table of this form, or has no such column of times.
        DetectorError: if what was learned is damaged.
        SpecError: if a change is none.
    """
    learned = ReadOptions.load(folder)
    read_options = parse(_Wanted, put({"data": learned.model_dump(mode="json")}, changes), "how rows are read").data
    if read_options.time is None and changes.get("data.step_seconds") is not None:
        raise click.UsageError("--step says how far apart rows are in time; give --time COLUMN too")
    table = open_table(path, read_options)
    if read_options.time is not None and read_options.time not in table.names:
        raise DataError(
            f"{path}: column {read_options.time!r} is missing, which holds the times; it has {table.names}; name another with --time, "
            f"or score without times (--set data.time=null)"
        )
    if read_options.time is None or read_options.step_seconds is None or learned.step_seconds is None:
        return table, read_options
    step = (
        read_options.step_seconds
        if read_options.step_seconds != learned.step_seconds
        else _step(table, read_options, read_options.time)
    )
    if step is None or abs(step - learned.step_seconds) <= _ALIKE * learned.step_seconds:
        return table, read_options
    click.echo(
        f"{path}: its rows are {step:g} s apart, but the detector learned from rows {learned.step_seconds:g} s apart, so its "
        f"scores may mean little"
    )
    return table, read_options.model_copy(update={"step_seconds": step})


def _step(table: TableFile, read_options: ReadOptions, time: str) -> float | None:
    """Returns the median seconds between the first rows of a file; None if they do not tell."""
    chunk = next(table.chunks(_LOOKED_AT), None)
    if chunk is None or len(chunk) < 2:
        return None
    times = to_times(chunk.columns([time])[time], str(table.path), read_options)
    step = float(np.median(np.diff(times) / np.timedelta64(1, "s")))
    return step if step > 0 else None


def rows_of(
    table: TableFile, features: Sequence[str], read_options: ReadOptions, rows_at_once: int, *, timed: bool
) -> Iterator[ChunkRows]:
    """Yields the rows of a file, chunk by chunk.

    Args:
        table: Opened with the same `read_options`.
        features: Columns of the values.
        read_options: How cells become numbers and times.
        rows_at_once: At most, in a chunk.
        timed: Read the column `read_options.time`, if there is one, whose times must ascend.

    Raises:
        DataError: naming file, rows and column of whatever is no row of these features.
    """
    name = read_options.time if timed else None
    check_columns(table, features)
    fill = (
        ForwardFill(features, str(table.path), read_options.missing_limit) if read_options.missing == "ffill" else None
    )
    latest = None
    for chunk in watched(table, rows_at_once):
        source = f"{table.path}, rows {chunk.first_row}-{chunk.first_row + len(chunk) - 1}"
        values, times = to_values(chunk.columns(features), features, source, read_options.empty, fill), None
        if name is not None:
            times = to_times(chunk.columns([name])[name], source, read_options)
            _check_order(table.path, name, chunk, times, latest)
            latest = times[-1]
        yield ChunkRows(chunk, values, times)


def _check_order(path: Path, name: str, chunk: Chunk, times: Times, latest: np.datetime64 | None) -> None:
    late = np.diff(times, prepend=times[:1] if latest is None else latest) <= np.timedelta64(0)
    late[:1] &= latest is not None
    if late.any():
        place = int(late.argmax())
        raise DataError(
            f"{path}: column {name!r} must ascend, but row {chunk.first_row + place} has {chunk.texts(name)[place]!r}, which is "
            f"not after the row above; sort the file, or score without times (--set data.time=null)"
        )


def check_columns(table: TableFile, names: Sequence[str]) -> None:
    """Raises `DataError` unless a file has all these columns."""
    absent = [name for name in names if name not in table.names]
    if absent:
        raise DataError(f"{table.path}: column {absent[0]!r} is missing; it has {table.names}")


def watched(table: TableFile, rows_at_once: int) -> Iterator[Chunk]:
    """Yields the chunks of a file, with a progress bar on a terminal."""
    with tqdm(total=table.size, unit=table.unit, unit_scale=True, desc=table.path.name, disable=None) as bar:
        for chunk in table.chunks(rows_at_once):
            yield chunk
            bar.update(chunk.size)
