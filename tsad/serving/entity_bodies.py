"""Bodies with the rows of several entities: cut into the rows of each, whose scores return to the order of the body."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tsad.arrays import Integers
from tsad.data.io.answers import text_of
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.reading import read_file, to_series
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.errors import DataError, shown
from tsad.series import Series
from tsad.serving.csv_bodies import read_csv_body
from tsad.serving.errors import RequestError
from tsad.serving.model_detectors import ModelDetectors
from tsad.serving.requests import CSV, Body, Rows, ascending, few, read_rows

MOST_ENTITIES = 1000
"""Largest number of entities in a body."""


@dataclass(frozen=True, eq=False)
class EntityPart:
    """The rows of one entity.

    Attributes:
        entity: Name of the entity; None for rows that name none.
        series: (n, F) rows in the order of their times.
        numbers: (n,) row of the body that each of them was.
    """

    entity: str | None
    series: Series
    numbers: Integers


@dataclass(frozen=True, eq=False)
class BodyRows:
    """The rows of a body.

    Attributes:
        parts: Rows of each entity; those of a body that names none are one part.
        mapping: (N,) row of all parts together that each row of the body went into, -1 for none.
        times: Times as they were written, one per row of the body; None if there are none.
        ignored: Names of the columns that are not used.
    """

    parts: Sequence[EntityPart]
    mapping: Integers
    times: list[str] | None
    ignored: list[str]


def body_rows(
    body: Body, detectors: ModelDetectors, read_options: ReadOptions | None, entity: str | None, most: int
) -> BodyRows:
    """Returns the rows of a body, those of a CSV as the training rows were read.

    Args:
        body: CSV or JSON.
        detectors: Detectors of the model, which say what its features and its column of entities are.
        read_options: How the training rows were read; None if they came from no file.
        entity: Name of the entity that all rows are of; None takes their column of entities, if they have it.
        most: Largest number of rows.

    Raises:
        DataError: naming row and column of whatever is no row of these features, or of times that do not ascend; naming
            entities that are unknown.
        RequestError: if there are too many rows or entities, or entities are named twice or, for a fleet, not at all.
    """
    if entity is not None:
        detectors.key(entity)
    if body.media == CSV and read_options is not None:
        return _read_as_trained(body.content, detectors, read_options, entity, most)
    rows = read_rows(body, detectors.features, most, detectors.column)
    column = _column(detectors, list(rows.table.columns), entity)
    if column is None:
        return _one_part(rows, detectors, entity)
    return _grouped(rows, detectors, column)


def _column(detectors: ModelDetectors, names: Sequence[str], entity: str | None) -> str | None:
    """Returns the column of entities in a body with these columns, None if it has none.

    Raises:
        RequestError: if the request names an entity beside the column, or neither, as rows of a fleet need.
    """
    column = detectors.column if detectors.column in names else None
    if entity is not None and column is not None:
        raise RequestError(
            400,
            f"the entity must be named once, but is in the query ({shown(entity)}) and in the column {shown(column)}; leave "
            f"one of them out",
        )
    if entity is None and column is None and detectors.is_fleet:
        detectors.key(None)  # which says what to do
    return column


def _one_part(rows: Rows, detectors: ModelDetectors, entity: str | None) -> BodyRows:
    series = ascending(rows.series(detectors.features), rows.times)
    part = EntityPart(entity, series, np.arange(len(series)))
    return BodyRows([part], np.arange(len(series)), rows.times, rows.ignored(detectors.features))


def _grouped(rows: Rows, detectors: ModelDetectors, column: str) -> BodyRows:
    """Returns the rows of a table entity by entity."""
    cells = rows.table[column]
    if not len(cells):
        raise DataError("body: must have rows, but has none; give at least those of one score")
    for number, cell in enumerate(cells):
        if isinstance(cell, bool) or not isinstance(cell, str | int | float) or cell != cell:
            raise DataError(
                f"body: column {column!r} must name an entity in each row, but row {number} has {shown(cell)}"
            )
    names = cells.map(text_of).to_numpy(object)
    _check(detectors, names)
    parts = []
    codes, entities = pd.factorize(names)
    for code, entity in enumerate(entities):
        numbers = np.flatnonzero(codes == code)
        times = None if rows.times is None else [rows.times[number] for number in numbers]
        own = Rows(rows.table.iloc[numbers], times)
        parts.append(EntityPart(str(entity), ascending(own.series(detectors.features), times), numbers))
    mapping = np.empty(len(names), np.int64)
    mapping[np.concatenate([part.numbers for part in parts])] = np.arange(len(names))
    ignored = [name for name in rows.ignored(detectors.features) if name != column]
    return BodyRows(parts, mapping, rows.times, ignored)


def _check(detectors: ModelDetectors, names: Iterable[object]) -> None:
    """Raises an error if some of these entities are unknown to a fleet, or there are too many."""
    distinct = list(dict.fromkeys(map(str, names)))
    if len(distinct) > MOST_ENTITIES:
        raise RequestError(
            413,
            f"a body may have rows of at most {MOST_ENTITIES} entities, but has {len(distinct)}; send them in parts",
        )
    if detectors.is_fleet:
        detectors.check(distinct, "body")


def _read_as_trained(
    content: bytes, detectors: ModelDetectors, read_options: ReadOptions, entity: str | None, most: int
) -> BodyRows:
    """Returns the rows of a CSV body; with a column of entities, each of them is sorted and cut as in training."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "body.csv"
        path.write_bytes(content)
        try:
            table = open_table(path, read_options.model_copy(update={"entity": None}))
            column = _column(detectors, table.names, entity)
            if column is None:
                single = read_options.model_copy(update={"entity": None})
                return _one_part(read_csv_body(content, detectors.features, single, most), detectors, entity)
            as_written = read_options.entity is None  # the names are those of files
            options = read_options.model_copy(update={"entity": column})
            return _panel(table, detectors, options, most, as_written=as_written)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "body")) from None


def _names(chunk: Chunk, column: str, *, as_written: bool) -> dict[str, str]:
    """Returns the name of each entity by the text of its cells: the same, or for files called `007` and the like as written."""
    cells = chunk.columns([column])[column]
    texts = cells.dropna().map(text_of).to_list()
    if not as_written:
        return {text: text for text in texts}
    written = [text for text, is_empty in zip(chunk.texts(column), cells.isna(), strict=True) if not is_empty]
    names = dict(zip(texts, written, strict=True))
    if len(set(written)) > len(names):
        raise DataError(
            f"body: column {column!r} must write each entity in one way, but writes some numbers in several"
        )
    return names


def _panel(
    table: TableFile, detectors: ModelDetectors, read_options: ReadOptions, most: int, *, as_written: bool
) -> BodyRows:
    chunk = next(iter(table.chunks(most + 1)), None)
    if chunk is None:
        raise DataError("body: must have rows, but has none; give at least those of one score")
    few(Rows(pd.DataFrame(index=range(len(chunk)))), most)
    column, time = str(read_options.entity), read_options.time_columns
    names = _names(chunk, column, as_written=as_written)
    _check(detectors, [*names.values()])
    if not set(time) <= set(table.names):
        read_options, time = read_options.model_copy(update={"time": None}), ()
    times = [" ".join(cells) for cells in zip(*map(chunk.texts, time), strict=True)] if time else None
    issues = Issues(str(table.path))
    spec = read_options.for_scoring().model_copy(update={"resample": None, "gaps": "break"})  # no row is added
    rows, features = read_file(table.path, spec, issues, read_options.step_seconds)
    if issues.items:
        raise FatalIssueError(issues.items[0])
    series = to_series(rows, features, spec)
    if series.features != detectors.features:
        raise DataError(f"body: must have the features {detectors.features}, but has {series.features}")
    edges = [*(first for _, first in rows.entities), len(series)]
    parts = [
        EntityPart(names[name], series.part(*edge), rows.numbers[slice(*edge)])
        for (name, _), edge in zip(rows.entities, pairwise(edges), strict=True)
    ]
    mapping = np.concatenate([rows.mapping, np.full(len(chunk) - len(rows.mapping), -1)])  # blank lines at the end
    used = {column, *time, *detectors.features}
    return BodyRows(parts, mapping, times, [name for name in table.names if name not in used])
