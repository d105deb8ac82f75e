"""Labels that lie in another file: intervals, moments or rows of anomalies, or a label for each row."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Flags
from tsad.data.io.answers import frequent_cells, is_answer, label_fix, tokens
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.tables import read_columns
from tsad.data.io.text import TextOptions
from tsad.data.io.time_formats import matching_formats
from tsad.data.io.time_options import TimeOptions
from tsad.data.io.times import to_times
from tsad.data.io.values import read_labels
from tsad.errors import DataError, shown
from tsad.spec import Spec

_STARTS = ("start", "begin", "from", "first")
_ENDS = ("end", "stop", "to", "last", "until", "finish")
_LENGTHS = ("duration", "length", "seconds", "minutes", "rows")
_TYPES = ("type", "kind", "category", "class", "name", "label", "anomaly")
_ENTITIES = ("entity", "machine", "host", "device", "file", "series", "id", "channel", "chan")
_MOMENTS = ("time", "timestamp", "date", "datetime", "row", "index")


class EventSpec(Spec):
    """One labeled anomaly.

    Attributes:
        start: First anomalous row: its time, or its number in the file.
        end: Last anomalous row, likewise; null for a single row.
        type: Anomaly type; null if it is unknown.
        entity: Name of the machine; null for all machines.
    """

    start: str | int
    end: str | int | None = None
    type: str | None = None
    entity: str | None = None


class Events(NamedTuple):
    """Labeled anomalies of a file of rows.

    Attributes:
        items: Anomalies by time or row.
        rows: (T,) label of each row of the file; None if anomalies are listed.
    """

    items: tuple[EventSpec, ...] = ()
    rows: Flags | None = None


class LabeledRows(NamedTuple):
    """Labels of rows in the order of their times.

    Attributes:
        labels: (T,) True where a row is anomalous.
        types: First row, row after the last one, and name of each anomaly whose type is known.
        unmatched: Anomalies that no row is in.
    """

    labels: Flags
    types: tuple[tuple[int, int, str], ...]
    unmatched: tuple[EventSpec, ...]


def read_events(path: Path, rows_path: Path, rows: int) -> Events:
    """Returns the labeled anomalies that a file holds.

    Args:
        path: JSON file in the form of the Numenta Anomaly Benchmark; or a table of intervals with columns such as `start`, `end`,
            and possibly `type` and `entity`, a table with a time or row and a label in each line, one with times or rows of
            anomalies alone, or one column of as many labels as there are rows.
        rows_path: File of the rows, by whose name the JSON file may list its anomalies.
        rows: Number of rows in that file.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    if path.suffix.lower() == ".json":
        return Events(_json_events(path, rows_path))
    issues = Issues(str(path))
    table = read_columns(path, TextOptions(), issues)
    if issues.items:
        raise FatalIssueError(issues.items[0])
    start, end = _column(table, _STARTS), _column(table, _ENDS)
    if start is not None and end is None and (length := _column(table, _LENGTHS)) is not None:
        raise DataError(
            f"{path}: has starts ({start!r}) and lengths ({length!r}), but events are read from starts and ends; add a column end"
        )
    if start is not None and end is not None:
        return Events(_intervals(table, start, end))
    label = next((str(name) for name in table.columns if is_answer(str(name), table[name])), None)
    moment = _column(table, _MOMENTS) or next((str(name) for name in table.columns if name != label), None)
    if label is not None and (moment is None or table.shape[1] == 1):
        return _labels_of_rows(table[label], path, rows)
    if label is not None and moment is not None:
        flags = _flags(table[label], path)
        return Events(tuple(EventSpec(start=_moment(cell)) for cell in table.loc[flags, moment]))
    if moment is not None and table.shape[1] == 1 and len(table) == rows and table[moment].isin([0, 1]).all():
        return _labels_of_rows(table[moment], path, rows)
    if moment is not None:
        return Events(tuple(EventSpec(start=_moment(cell)) for cell in table[moment].dropna()))
    raise DataError(
        f"{path}: must have columns start and end, or a time or row and a label, but has {shown(list(table.columns))}"
    )


def _column(table: pd.DataFrame, words: Sequence[str]) -> str | None:
    """Returns the first column whose name has one of the words."""
    return next((str(name) for word in words for name in table.columns if word in tokens(str(name))), None)


def _intervals(table: pd.DataFrame, start: str, end: str) -> tuple[EventSpec, ...]:
    rest = table.drop(columns=[start, end])
    entity, kind = _column(rest, _ENTITIES), _column(rest, _TYPES)
    return tuple(
        EventSpec(
            start=_moment(row[start]),
            end=None if pd.isna(row[end]) else _moment(row[end]),
            type=None if kind is None or pd.isna(row[kind]) else str(row[kind]),
            entity=None if entity is None or pd.isna(row[entity]) else str(row[entity]),
        )
        for row in table.to_dict("records")
    )


def _labels_of_rows(column: "pd.Series[Any]", path: Path, rows: int) -> Events:
    if len(column) != rows:
        raise DataError(
            f"{path}: must have a label for each of the {rows} rows, but has {len(column)}; give all of them"
        )
    return Events(rows=_flags(column, path))


def _flags(column: "pd.Series[Any]", path: Path) -> Flags:
    issues = Issues(str(path))
    labels = read_labels(column, label_fix(column).get("normal"), issues)
    if labels is None:
        raise DataError(f"{path}: {issues.items[0].text}, such as {shown(frequent_cells(column)[:3])}")
    return labels


def _moment(cell: Any) -> str | int:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return int(cell)
    return int(cell) if isinstance(cell, int | np.integer) else str(cell)


def _json_events(path: Path, rows_path: Path) -> tuple[EventSpec, ...]:
    """Returns anomalies of the form of the Numenta Anomaly Benchmark: lists of `[start, end]`, or of moments, by file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: must be JSON of labeled anomalies, but {error}") from None
    if isinstance(values, Mapping):
        names = [name for name in values if Path(name).name == rows_path.name or Path(name).stem == rows_path.stem]
        if len(names) != 1 and len(values) != 1:
            raise DataError(
                f"{path}: must list the anomalies of {rows_path.name} once, but has {len(names)} lists of that name; it has "
                f"{shown(list(values))}"
            )
        values = values[names[0]] if names else next(iter(values.values()))
    pairs = [item if isinstance(item, list) else [item, None] for item in values] if isinstance(values, list) else None
    if pairs is None or any(len(pair) != 2 or not isinstance(pair[0], str | int) for pair in pairs):
        raise DataError(
            f"{path}: must hold a list of [start, end] or of moments for each file, but holds {shown(values)}"
        )
    return tuple(EventSpec(start=start, end=end) for start, end in pairs)


def labeled(
    events: Sequence[EventSpec],
    entity: str,
    times: "np.ndarray[Any, np.dtype[np.datetime64]] | None",
    numbers: "np.ndarray[Any, np.dtype[np.int64]]",
    options: TimeOptions,
) -> LabeledRows:
    """Returns the labels of the rows of an entity; an anomaly covers the rows from its start to its end, both included.

    Args:
        events: Labeled anomalies of this and possibly other entities.
        entity: Name of the entity; empty for a single one.
        times: (T,) ascending times of the rows; None without times.
        numbers: (T,) numbers of the rows in their file.
        options: How times are written, in the events as in the rows.

    Raises:
        DataError: if an anomaly is given by times, but rows have none, or by a text that is no time.
    """
    labels = np.zeros(len(numbers), bool)
    types, unmatched = [], []
    own = [event for event in events if event.entity in {None, entity} or not entity]
    for event, (first, last) in zip(own, _spans(own, times, options), strict=True):
        if last < first:
            raise DataError(f"data.events: an event ends at {event.end}, before its start {event.start}; exchange them")
        if isinstance(first, int):
            rows = np.flatnonzero((numbers >= first) & (numbers <= last))
        else:
            rows = _rows_between(times, first, last)
        if not len(rows):
            unmatched.append(event)
            continue
        labels[rows] = True
        if event.type is not None:
            types.append((int(rows[0]), int(rows[-1]) + 1, event.type))
    return LabeledRows(labels, tuple(sorted(types)), tuple(unmatched))


def _rows_between(times: Any, first: Any, last: Any) -> Any:
    """Returns the rows from one moment to another; of moments between two rows, the row before them."""
    rows = np.flatnonzero((times >= first) & (times <= last))
    before = int(np.searchsorted(times, first, side="right")) - 1
    if not len(rows) and 0 <= before < len(times) - 1:
        return np.array([before])
    return rows


def _spans(events: Sequence[EventSpec], times: Any, options: TimeOptions) -> list[tuple[Any, Any]]:
    """Returns first and last row number, or first and last moment, of each event."""
    ends = [(event.start, event.start if event.end is None else event.end) for event in events]
    if all(isinstance(end, int) for pair in ends for end in pair) and not _are_moments(ends, times):
        return ends
    if times is None:
        raise DataError(
            f"events are given by times ({shown(ends[0][0])}), but the rows have none; name their column in data.time, or give "
            f"the numbers of the rows"
        )
    cells: pd.Series[Any] = pd.Series([end for pair in ends for end in pair], name="events")
    if not all(isinstance(cell, int) for cell in cells):
        cells = cells.astype(str)
    try:
        moments = to_times(cells, "data.events", options)
    except FatalIssueError:
        plain = TimeOptions(time_zone=options.time_zone, day_first=options.day_first)
        forms = matching_formats(cells) if not all(isinstance(cell, int) for cell in cells) else []
        if len(forms) == 1:
            plain = plain.model_copy(update={"time_format": forms[0]})
        moments = to_times(cells, "data.events", plain)
    return list(zip(moments[::2], moments[1::2], strict=True))


def _are_moments(ends: Sequence[tuple[Any, Any]], times: Any) -> bool:
    """Returns whether whole numbers are seconds or milliseconds since 1970 and not numbers of rows."""
    return times is not None and bool(ends) and min(int(first) for first, _ in ends) > 100_000_000
