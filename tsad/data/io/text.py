"""The layout of a text file: encoding, separator, decimal mark, and the line in which its table begins."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tsad.data.io.cells import CellFormat
from tsad.data.io.containers.options import ContainerOptions
from tsad.data.io.issues import Issues
from tsad.errors import shown
from tsad.spec import Texts

_HEAD = 1 << 18
"""Bytes at the start of a file that its layout is inferred from."""

BLOCK = 1 << 24
"""Bytes of a file that are parsed together; no line may be longer."""

_SAMPLE = 200
"""Lines at the start of a file that its layout is inferred from, at most."""

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEPARATORS = ("\t", ";", "|", ",")
Separator = Literal[",", ";", "\t", "|", " "]
Encoding = Literal["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]


class TextOptions(ContainerOptions):
    """Text format of a CSV file; a Parquet file contains its own.

    Attributes:
        separator: Character between two cells, `" "` for runs of blanks; if null, the one of tab, ; | and comma that most lines
            have equally often, or runs of blanks where they give all lines the same number of cells.
        decimal: Decimal mark of numbers; if null, a comma where the first lines have numbers with a comma that cannot separate
            thousands, and none with a point.
        thousands: Mark between groups of three digits, as in `1,091`; null for numbers without one. Never guessed.
        units: Texts that may follow a number in its cell and are left out, such as `%` or `°C`.
        encoding: Encoding of the text; if null, that of the byte order mark, or UTF-8. Other encodings are never guessed.
        skip: Number of lines above the table, such as a title; blank lines count too.
        header: Whether the first line of the table names the columns; if not, they are called f00, f01, ...
        skip_after_header: Number of lines below the names that are no rows, such as the units of the columns.
        skip_footer: Number of lines at the end of the table that are no rows, such as totals.
        bad_lines: Lines with more or fewer cells than the first one: `error`, or `drop` to leave them out.
        empty: Texts of cells that mean that there is no value, besides those that always do (`tsad.data.io.cells.EMPTY_TEXTS`:
            nothing, NA, NaN, null and their like).
    """

    separator: Separator | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None
    units: Texts = ()
    encoding: Encoding | None = None
    skip: int = Field(0, ge=0)
    header: bool = True
    skip_after_header: int = Field(0, ge=0)
    skip_footer: int = Field(0, ge=0)
    bad_lines: Literal["error", "drop"] = "error"
    empty: Texts = ()

    @field_validator("separator", mode="before")
    @classmethod
    def _typed_tab(cls, separator: Any) -> Any:
        return "\t" if separator in ("\\t", "tab") else separator

    @model_validator(mode="after")
    def _two_marks(self) -> Self:
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands must differ, but both are {self.decimal!r}")
        return self


@dataclass(frozen=True)
class Layout:
    """Text format of one file, with every option known.

    Attributes:
        encoding: Name of the encoding in Python.
        separator: Character between two cells.
        decimal: Decimal mark of numbers.
        first: Cells of the first line of the table.
        skip: Number of lines above the table.
        sample: Cells of the lines after the first one, at the start of the file.
    """

    encoding: str
    separator: str
    decimal: str
    first: tuple[str, ...]
    skip: int = 0
    sample: tuple[tuple[str, ...], ...] = ()

    def cell_format(self, options: TextOptions) -> CellFormat:
        """Returns the format of the cells."""
        return CellFormat(self.decimal, options.empty, options.thousands, options.units)


def infer_layout(path: Path, options: TextOptions, issues: Issues) -> Layout:
    """Returns the layout of a text file, inferred from its first lines where `options` leaves it open.

    Raises:
        FatalIssueError: if the file is no text in its encoding, or empty.
    """
    with path.open("rb") as opened:
        head = opened.read(_HEAD)
        head += opened.readline() if b"\n" not in head else b""
    mark = next((name for start, name in _MARKS.items() if head.startswith(start)), None)
    if mark and options.encoding not in {None, mark.removesuffix("-sig")}:
        issues.fail(f"its byte order mark says {mark}, but encoding is {options.encoding}", {"encoding": None})
    encoding = mark or options.encoding or "utf-8"
    if encoding == "utf-16" and not mark:
        issues.fail("has no byte order mark, which utf-16 needs", {"encoding": "utf-16-le"}, "utf-16-be")
    _scan(path, encoding, issues)
    head_text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", head_text)[:_SAMPLE]
    below = [line for line in lines[options.skip :] if line.strip()]
    if not below:
        issues.fail("is not a csv table (it is empty)", advice="give a file with rows")
    separator = options.separator or _separator(below)
    skip = _titles(lines, options, separator, issues)
    rows = [
        [cell.strip() for cell in row]
        for row in split_lines([line for line in lines[skip:] if line.strip()], separator)
    ]
    decimal = options.decimal or _decimal(rows, separator, options.thousands)
    return Layout(encoding, separator, decimal, tuple(rows[0]), skip, tuple(map(tuple, rows[1:])))


def split_lines(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Yields the cells of each record of CSV lines; with blanks as the separator, a run of blanks is one."""
    if separator == " ":
        lines = (" ".join(line.split()) for line in lines)
    return csv.reader(lines, delimiter=separator)


def _titles(lines: list[str], options: TextOptions, separator: str, issues: Issues) -> int:
    """Returns how many lines are above the table; adds an issue if there are some that `skip` does not mention.

    Such lines have other numbers of cells than most lines, or leave cells empty above a line of names that has all of them.
    """
    rows = [[cell.strip() for cell in row] for row in split_lines([*lines[options.skip :], ""], separator)]
    usual = Counter(len(row) for row in rows if row).most_common(1)[0][0]
    first = next(number for number, row in enumerate(rows) if len(row) == usual)
    first = next((number for number in range(first, len(rows)) if not _is_title(rows, number)), first)
    titles = [line for line in lines[options.skip : options.skip + first] if line.strip()]
    if not titles or (first and _are_names(rows[first - 1]) and len(rows[first - 1]) == usual - 1):
        return options.skip  # names, of which one is absent
    issues.add(
        f"its first line must name the columns, but is {shown(titles[0])}, and line {options.skip + first + 1} is the first with "
        f"{usual} cells, as most have",
        {"skip": options.skip + first},
        "remove what is above the table",
    )
    return options.skip + first


def _is_title(rows: Sequence[Sequence[str]], number: int) -> bool:
    """Returns whether a line leaves cells empty, and the next one with any cell has all of them, which are names."""
    below = next((row for row in rows[number + 1 :] if any(row)), [])
    return not all(rows[number]) and len(below) == len(rows[number]) and all(below) and _are_names(below)


def _are_names(row: Sequence[str]) -> bool:
    """Returns whether cells can name columns: words that differ and do not begin with a digit."""
    words = [cell for cell in row if cell]
    return len(set(words)) == len(words) > 0 and not any(is_number(cell) or cell[0].isdigit() for cell in words)


def _scan(path: Path, encoding: str, issues: Issues) -> None:
    """Raises `FatalIssueError` at the first byte that is not valid in this encoding."""
    decoder, lines, wide = codecs.getincrementaldecoder(encoding)(), 1, encoding.startswith("utf-16")
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            if not wide and b"\0" in block:
                line = lines + block[: block.index(b"\0")].count(b"\n")
                often = block.count(b"\0") > len(block) // 4
                fix = {"encoding": "utf-16-le" if block[:2].endswith(b"\0") else "utf-16-be"} if often else {}
                advice = "" if often else "write it again: it was damaged or cut off while it was written"
                issues.fail(f"is not a csv table (it has NUL bytes, first in line {line})", fix, advice)
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].count(b"\n")
                issues.fail(
                    f"is not a csv table in {encoding} (byte 0x{error.object[error.start]:02x} in line {line})",
                    {"encoding": "cp1252"} if encoding.startswith("utf-8") else {"encoding": None},
                    "write it again as utf-8",
                )
            lines += block.count(b"\n")


def _separator(lines: list[str]) -> str:
    """Returns the separator that most lines have equally often, at least once; a comma if there is none."""
    fractions = {}
    for separator in SEPARATORS:
        counts = Counter(len(row) for row in csv.reader(lines, delimiter=separator))
        usual, often = counts.most_common(1)[0]
        fractions[separator] = often / counts.total() if usual > 1 else 0.0
    best = max(SEPARATORS, key=lambda separator: fractions[separator])  # of equals the first
    if fractions[best] > 0:
        return best
    widths = {len(row) for row in split_lines(lines, " ")}
    return " " if len(widths) == 1 and widths != {1} else ","


_DECIMAL = r"[-+]?\d*{mark}\d+(?:[eE][-+]?\d+)?"
GROUPED = r"[-+]?[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
"""Pattern of a whole number with a mark between groups of three digits; the number may also be one with three decimals."""


def _decimal(rows: list[list[str]], separator: str, thousands: str | None) -> str:
    """Returns the decimal mark that the cells show; numbers such as 1,091 alone show none."""
    if thousands is not None:
        return "," if thousands == "." else "."
    cells = [cell.strip() for row in rows for cell in row]
    commas, points = (
        [cell for cell in cells if re.fullmatch(_DECIMAL.format(mark=mark), cell)] for mark in (",", r"\.")
    )
    certain = any(not re.fullmatch(GROUPED.format(mark=","), cell) for cell in commas)
    return "," if certain and not points and separator != "," else "."


def default_names(count: int) -> list[str]:
    """Returns names for the columns of a table without a header: f00, f01, ..."""
    width = max(2, len(str(count - 1)))
    return [f"f{number:0{width}d}" for number in range(count)]


def is_number(cell: str) -> bool:
    """Returns whether a cell looks like a number, with a decimal point or a comma."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
