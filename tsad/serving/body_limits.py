"""Limits of bodies: how many rows, columns, cells and decoded bytes, counted before any of them becomes a table."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from tsad.serving.errors import RequestError

_DEEPEST, _BEGINNING = 200, 1_000_000
_OPENING, _CLOSING = list(b"[{"), list(b"]}")
_ESCAPES = re.compile(rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)", re.DOTALL)
"""Backslashes, whole characters of two halves, and, in a group, halves alone."""
_SPARE = 1_000
"""Lists, mappings and commas of a body beside those of its rows."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits of a table in a body.

    Attributes:
        rows: Largest number of rows.
        columns: Largest number of columns.
        cells: Largest number of cells.
        decoded_bytes: Largest size of a Parquet file when it is decompressed, in bytes.
    """

    rows: int = 100_000
    columns: int = 10_000
    cells: int = 2_000_000
    decoded_bytes: int = 64_000_000

    def check(self, rows: int, columns: int, cells: int | None = None) -> None:
        """Raises `RequestError` if a table of this size is too large."""
        cells = rows * columns if cells is None else cells
        for name, count, most in (("rows", rows, self.rows), ("columns", columns, self.columns)):
            if count > most:
                raise RequestError(413, f"a body may have at most {most} {name}, but has {count}; send them in parts")
        if cells > self.cells:
            raise RequestError(413, f"a body may have at most {self.cells} cells, but has {cells}; send them in parts")

    def check_text(self, content: bytes, media: str) -> None:
        """Raises `RequestError` if JSON or CSV holds more than a table within the limits; nothing is parsed for it.

        Args:
            content: Bytes of the body.
            media: Media type of the body: `application/json` or `text/csv`; others are not looked at.
        """
        if media == "application/json":
            self._check_json(content)
        elif media == "text/csv":
            self._check_csv(content)

    def _check_json(self, content: bytes) -> None:
        _check_surrogates(content)
        values = content.count(b",") + 1
        if values > self.cells + self.rows + _SPARE:  # the cells, and a time for each row
            self.check(0, 0, values)
        inner = content.count(b"[") + content.count(b"{")
        if inner > self.rows + _SPARE:
            _check_depth(content)
            raise RequestError(
                413, f"a body may have at most {self.rows} rows, but has {inner} lists and mappings; send them in parts"
            )

    def _check_csv(self, content: bytes) -> None:
        rows = max(content.count(b"\n"), content.count(b"\r"))
        if rows > self.rows + _SPARE:
            self.check(rows, 0)
        commas = content.count(b",")
        if commas > self.columns:
            widest = max(line.count(b",") for line in content.splitlines())
            self.check(0, 1 + max(widest, _header_width(content) - 1), 0)
        self.check(0, 0, commas + rows)

    def check_values(self, value: Any) -> None:
        """Raises `RequestError` if parsed JSON becomes too large a table, in any of the forms that MLflow's server takes.

        Rows of mappings that have each another key are a table of as many columns, whatever little each of them holds.
        """
        tables = value.values() if isinstance(value, Mapping) else [value]
        for table in chain(tables, [value]):
            if isinstance(table, Mapping):
                columns = table.get("columns")
                self.check(0, max(len(table), len(columns) if isinstance(columns, list) else 0))
                self._check_rows(table.get("data"))
                self.check(_longest(table.values()), len(table))
            else:
                self._check_rows(table)

    def _check_rows(self, rows: Any) -> None:
        if not isinstance(rows, list):
            return
        names: set[str] = set()
        for row in rows:
            if isinstance(row, Mapping):
                names.update(row)
                if len(names) > self.columns:
                    break
        self.check(len(rows), max(len(names), _longest(rows)))


def _check_surrogates(content: bytes) -> None:
    """Raises `RequestError` if JSON has half a character, which no text in UTF-8 can hold."""
    if b"\\ud" not in content and b"\\uD" not in content:
        return
    for match in _ESCAPES.finditer(content):
        if match.lastindex:
            half = match[1].decode(errors="backslashreplace")  # its last two bytes may be anything
            raise RequestError(
                400,
                f"body must be text that UTF-8 holds, but has half a character, {half} at byte {match.start()}; "
                "send both halves, or neither",
            )


def _check_depth(content: bytes) -> None:
    """Raises `RequestError` if the beginning of JSON nests too deeply to be rows at all."""
    text = np.frombuffer(content, np.uint8, min(len(content), _BEGINNING))
    steps = np.isin(text, _OPENING).astype(np.int32) - np.isin(text, _CLOSING)
    if steps.cumsum().max() > _DEEPEST:
        raise RequestError(
            400,
            f"body must not nest lists and mappings as deeply as it does (a recursion of more than {_DEEPEST}); "
            "send rows as [[...], ...]",
        )


def _longest(values: Iterable[Any]) -> int:
    return max((len(value) for value in values if isinstance(value, list)), default=0)


def _header_width(content: bytes) -> int:
    """Returns the number of names in the first record of CSV, which quoted line breaks may spread over several lines."""
    try:
        return len(next(csv.reader(io.StringIO(content.decode("utf-8-sig"))), []))
    except (UnicodeDecodeError, csv.Error):
        return 0  # which is refused when it is read
