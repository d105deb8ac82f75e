"""JSON documents that hold a table: a list of objects, columns as lists or objects, or the forms that pandas writes."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsad.data.io.containers.json_lines import cells_of, json_lines_to_csv, text_of_json, unique_keys
from tsad.data.io.issues import Issues
from tsad.errors import shown

_FORMS = (
    'a table is a list of objects such as [{"cpu": 1}], {"columns": [...], "data": [[...]]}, or a list for each column such as '
    '{"cpu": [1, 2]}'
)
_CONVERT = 'python -c \'import pandas; pandas.read_json("FILE").to_csv("rows.csv", index=False)\''

Rows = Sequence[Mapping[str, str]]


def json_to_csv(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes the table of a JSON document as a CSV file, and returns its path.

    Read are lists of objects, also as the only list of objects of an object; lists of lists, whose first one may name the
    columns; `{"columns": ..., "data": ...}`; a list or an object for each column; and an object for each row by its number. Cells
    are written as by `json_lines_to_csv`, which also reads a file of one object a line.

    Args:
        file: Path of the file, in UTF-8, which has to fit into memory.
        folder: Folder that is written into.
        issues: Reports about the source.

    Raises:
        FatalIssueError: if it is no JSON, or no table.
    """
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=unique_keys)
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
        value, end = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        issues.fail(f"is not JSON ({' '.join(str(error).split())})", advice="write it again")
    if text[end:].lstrip().startswith("{"):
        return json_lines_to_csv(file, folder, issues)
    if text[end:].strip():
        issues.fail(f"has text after its JSON ({shown(text[end:].strip())})", advice="remove it")
    try:
        rows = _rows(value)
    except ValueError as error:
        issues.fail(f"is no table ({error})", advice="rename a key, or give every column as many cells")
    if not rows:
        issues.fail(
            f"holds no rows; {_FORMS}",
            advice=f"write one of these, or convert it: {_CONVERT.replace('FILE', file.name)}",
        )
    names = dict.fromkeys(name for row in rows for name in row)
    target = folder / "rows.csv"
    with target.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([row.get(name, "") for name in names] for row in rows)
    return target


def _rows(value: Any) -> Rows:
    """Returns the cells of each row by name; nothing for a document of another form; raises `ValueError` if they are no table."""
    if isinstance(value, list):
        return _rows_of_list(value)
    if not isinstance(value, dict):
        return ()
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return _with_index(_table(value["columns"], value["data"]), value.get("index"))
    lists = {name: inner for name, inner in value.items() if isinstance(inner, list)}
    if lists and all(_is_objects(inner) for inner in lists.values()):
        return _rows_of_list(next(iter(lists.values()))) if len(lists) == 1 else ()
    if lists and len(lists) == len(value):
        return _table(list(lists), _transposed(lists))
    objects = [inner for inner in value.values() if isinstance(inner, dict)]
    if len(objects) < 2 and not (objects and len(objects) == len(value) and len(objects[0]) > 1):
        return ()
    return _rows_of_objects(value) if len(objects) == len(value) else ()


def _rows_of_list(items: Sequence[Any]) -> Rows:
    if _is_objects(items):
        return [cells_of(item) for item in items]
    if not items or not all(isinstance(item, list) for item in items):
        return ()
    first = items[0]
    if all(isinstance(cell, str) and not _is_number(cell) for cell in first) and len(set(first)) == len(first):
        return _table(first, items[1:])
    width = max(2, len(str(len(first) - 1)))
    return _table([f"f{number:0{width}d}" for number in range(len(first))], items)


def _is_objects(items: Sequence[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) for item in items)


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _transposed(columns: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its columns differ in length: {shown(lengths)}")
    return [list(cells) for cells in zip(*columns.values(), strict=True)]


def _table(names: Sequence[Any], rows: Sequence[Any]) -> Rows:
    texts = [".".join(map(str, name)) if isinstance(name, list) else str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise ValueError(f"two columns have one name: {shown(texts)}")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(texts):
            raise ValueError(f"row {number} must be a list of {len(texts)} cells, but is {shown(row)}")
    return [dict(zip(texts, map(text_of_json, row), strict=True)) for row in rows]


def _with_index(rows: Rows, index: Any) -> Rows:
    """Returns the rows with the cells of an index before them, unless it only numbers them."""
    if (
        not isinstance(index, list)
        or len(index) != len(rows)
        or list(map(str, index)) == [str(n) for n in range(len(rows))]
    ):
        return rows
    return [{"index": text_of_json(cell), **row} for cell, row in zip(index, rows, strict=True)]


def _rows_of_objects(value: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Returns the rows of an object for each column, or for each row, by names of rows, or of columns.

    The inner names that are moments or numbers are those of rows.
    """
    inner = list(dict.fromkeys(name for cells in value.values() for name in cells))
    outer = list(value)
    if all(map(_is_number_or_moment, outer)) and not all(map(_is_number_or_moment, inner)):
        rows = [{name: text_of_json(value[key].get(name)) for name in inner} for key in outer]
        return _with_index(rows, outer)
    rows = [{name: text_of_json(value[name].get(key)) for name in outer} for key in inner]
    return _with_index(rows, inner)


def _is_number_or_moment(name: str) -> bool:
    return _is_number(name) or (name[:1].isdigit() and sum(char.isdigit() for char in name) > len(name) / 2)
