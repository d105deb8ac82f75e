"""Annotated CSV of time-series databases: tables below lines such as `#datatype`, which become one CSV file."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tsad.data.io.issues import Issues
from tsad.errors import shown

_ANNOTATION = re.compile(rb'(\xef\xbb\xbf)?\s*"?#(datatype|group|default)\b')
_HEAD = 1 << 12
"""Bytes at the start of a file in which an annotation must stand."""

_OWN_COLUMNS = {"", "result", "table"}
"""Columns that the database adds to those of the data."""


def is_annotated(file: Path) -> bool:
    """Returns whether a text begins with an annotation; raises `OSError` if it cannot be read."""
    with file.open("rb") as opened:
        return _ANNOTATION.match(opened.read(_HEAD)) is not None


def annotated_to_csv(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes the rows of all tables below one header as a CSV file, and returns its path.

    Annotations and the columns without a name, `result` and `table` are left out; an empty cell has the default of its column.
    Tables follow each other as in the file, so one series after the other.

    Args:
        file: Path of the file, in UTF-8.
        folder: Folder that is written into.
        issues: Reports about the source.

    Raises:
        FatalIssueError: if tables differ in their columns, a line has another number of cells than its header, an annotation
            has no counterpart in a plain table, or the file is the answer of the database to a faulty query.
    """
    target = folder / "rows.csv"
    try:
        with (
            file.open(encoding="utf-8-sig", newline="") as opened,
            target.open("w", encoding="utf-8", newline="") as written,
        ):
            csv.writer(written, lineterminator="\n").writerows(_Tables(csv.reader(opened), issues).rows())
    except (UnicodeError, csv.Error) as error:
        issues.fail(f"is not an annotated csv table ({error})", advice="export it again in utf-8")
    return target


class _Tables:
    """The tables of an annotated CSV, read line by line."""

    def __init__(self, reader: Iterator[list[str]], issues: Issues) -> None:
        self._reader = reader
        self._issues = issues
        self._header: list[str] = []
        self._defaults: list[str] = []

    def rows(self) -> Iterator[list[str]]:
        """Yields the names of the columns once, then the cells of each row in that order."""
        columns: list[int] | None = None
        width = 0
        for cells in self._reader:
            if len(cells) < 2 and not "".join(cells).strip():
                columns = None  # the next line names the columns of another table
            elif cells[0].lstrip().startswith("#"):
                self._annotate(cells, is_new=columns is not None)
                columns = None
            elif columns is None:
                is_first, width = not self._header, len(cells)
                columns = self._columns(cells)
                if is_first:
                    yield self._header
            else:
                yield self._row(cells, columns, width)

    def _line(self) -> int:
        return int(self._reader.line_num)  # type: ignore[attr-defined]

    def _annotate(self, cells: Sequence[str], *, is_new: bool) -> None:
        """Takes an annotation, the first of its table or a further one."""
        if is_new:
            self._defaults = []
        name = cells[0].split()[0]
        if name == "#default":
            self._defaults = [cells[0].partition(" ")[2], *cells[1:]]
        elif name not in {"#datatype", "#group"}:
            self._issues.fail(
                f"line {self._line()} has the annotation {name!r}, which says more than a table holds",
                advice="export it with #datatype, #group and #default only",
            )

    def _columns(self, cells: Sequence[str]) -> list[int]:
        """Returns the indices of the columns of the data; sets the header if this is that of the first table."""
        names = [cell.strip() for cell in cells]
        indices = [number for number, name in enumerate(names) if names[0] or name not in _OWN_COLUMNS]
        own = [names[number] for number in indices]
        if own[:1] == ["error"]:
            message = next(self._reader, [])
            self._issues.fail(
                f"is the answer to a faulty query ({shown(', '.join(filter(None, message)), 300)})",
                advice="correct the query and export again",
            )
        if len(set(own)) < len(own) and not self._header:
            self._header = own  # the reader of the plain table says which name comes twice
            return indices
        self._header = self._header or own
        if sorted(own) != sorted(self._header):
            self._issues.fail(
                f"holds tables of different columns, {shown(self._header, 300)} and, from line {self._line()}, "
                f"{shown(own, 300)}",
                advice="export each into a file of its own, or pivot the query",
            )
        return [indices[own.index(name)] for name in self._header]

    def _row(self, cells: Sequence[str], columns: Sequence[int], width: int) -> list[str]:
        if len(cells) != width:
            self._issues.fail(
                f"line {self._line()} must have {width} cells, as the line of its names has, but has {len(cells)}",
                advice="export it again, it may have been cut off",
            )
        defaults = self._defaults if len(self._defaults) == width else [""] * width
        return [cells[number] or defaults[number] for number in columns]
