"""JSON Lines: one object a line, which becomes a row of a CSV file."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tsad.data.io.issues import Issues
from tsad.errors import shown

_LINE = 1 << 24
"""Bytes of a line, at most."""


def json_lines_to_csv(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes the objects of a file as a CSV file, and returns its path.

    The columns are the keys of all objects in the order in which they come first; a key that an object does not have, and null,
    is an empty cell. Objects inside of objects become columns such as `value.cpu`, lists are texts. Numbers stay as they are
    written.

    Args:
        file: Path of the file, in UTF-8; blank lines are skipped.
        folder: Folder that is written into.
        issues: Reports about the source.

    Raises:
        FatalIssueError: naming the first line that is no JSON object, or repeats a key.
    """
    names: dict[str, None] = {}
    for row in _rows(file, issues):
        names.update(dict.fromkeys(row))
    target = folder / "rows.csv"
    with target.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([row.get(name, "") for name in names] for row in _rows(file, issues))
    return target


def _rows(file: Path, issues: Issues) -> Iterator[dict[str, str]]:
    """Yields the cells of each line as texts by name."""
    number = 0
    decode = json.JSONDecoder(
        parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=unique_keys
    ).decode  # numbers as they are written
    with file.open("rb") as opened:
        while line := opened.readline(_LINE):
            number += 1
            if not line.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                value = decode(text)
            except (ValueError, RecursionError) as error:
                issues.fail(
                    f"line {number} is not JSON ({error})",
                    advice="correct it; each line must hold one whole object",
                )
            if not isinstance(value, dict):
                issues.fail(
                    f'line {number} must hold an object such as {{"cpu": 1}}, but holds {shown(text.strip())}',
                    advice="write one object a line",
                )
            try:
                yield cells_of(value)
            except ValueError as error:
                issues.fail(f"line {number} is not a row ({error})", advice="rename a key")


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the values by name; raises `ValueError` if two have one name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"key {twice!r} comes twice")
    return values


def cells_of(value: dict[str, Any]) -> dict[str, str]:
    """Returns the text of each cell by name; raises `ValueError` if two have one name."""
    if not any(isinstance(inner, dict) for inner in value.values()):
        return {name: inner if type(inner) is str else text_of_json(inner) for name, inner in value.items()}
    cells: list[tuple[str, str]] = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            cells += [(f"{name}.{below}", text) for below, text in cells_of(inner).items()] or [(name, "")]
        else:
            cells.append((name, text_of_json(inner)))
    return unique_keys(cells)


def text_of_json(value: Any) -> str:
    """Returns the text of a cell: nothing for null, JSON for lists."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
