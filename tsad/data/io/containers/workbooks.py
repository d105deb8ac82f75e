"""Workbooks of spreadsheets: one sheet, written as a CSV file."""

import csv
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsad.data.io.containers.options import ContainerOptions
from tsad.data.io.issues import Issues
from tsad.errors import shown

Cell = Any
"""Value of a cell: a number, text, truth value, date, time or duration; an empty cell is an empty text."""


def workbook_to_csv(
    file: Path, folder: Path, options: ContainerOptions, issues: Issues
) -> tuple[Path, tuple[str, ...]]:
    """Writes one sheet of a workbook as a CSV file.

    Values count, not how they are shown: numbers with all digits, dates as ISO 8601, durations in seconds. Empty rows and columns
    around the table are left out, an empty row inside is a blank line, and errors such as #N/A are empty cells.

    Args:
        file: Path of the workbook, which has to fit into memory.
        folder: Folder that is written into.
        options: Name of the sheet, or None for the first one that is visible.
        issues: Reports about the source.

    Returns:
        Path of the CSV file, and what was assumed about the workbook.

    Raises:
        FatalIssueError: if it is no workbook, is protected by a password, has no such sheet or no cells in it, or if cells of the
            line of names are merged; also if the package that reads it is not installed.
    """
    try:
        import python_calamine as calamine
    except ImportError:
        issues.fail("needs python-calamine, which is not installed", advice="pip install 'tsad[excel]'")
    try:
        with calamine.load_workbook(str(file)) as book:
            name, repairs = _sheet(book, options.sheet, issues)
            sheet = book.get_sheet_by_name(name)
            _judge_merged(sheet, getattr(options, "skip", 0), issues)
            rows = sheet.to_python()
    except calamine.PasswordError:
        issues.fail("is protected by a password", advice="save it without one")
    except (calamine.CalamineError, OSError) as error:
        issues.fail(f"is not a workbook, or a damaged one ({error})", advice="save it again, or as .csv")
    rows = _trimmed(rows)
    if not rows:
        issues.fail(f"has no cells in sheet {name!r}", advice="name another sheet in data.sheet")
    target = folder / "sheet.csv"
    with target.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        dated = [any(isinstance(cell, dt.datetime) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            writer.writerow(
                [_text(cell, long) for cell, long in zip(row, dated, strict=True)] if any(map(_is_full, row)) else []
            )
    return target, repairs


def _sheet(book: Any, wanted_name: str | None, issues: Issues) -> tuple[str, tuple[str, ...]]:
    """Returns the name of the sheet to read, and what was assumed."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    names = [sheet.name for sheet in sheets]
    visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    if not names:
        issues.fail("has no sheet with cells", advice="save it again, or as .csv")
    if wanted_name is not None:
        if wanted_name not in names:
            issues.fail(
                f"has no sheet {wanted_name!r}; it has {shown(names, 400)}", advice="name one of them in data.sheet"
            )
        return wanted_name, ()
    first = (visible or names)[0]
    if len(names) == 1:
        return first, ()
    return first, (
        f"sheet {first!r} was read, the first of {len(names)} ({shown(names, 200)}); data.sheet names another",
    )


def _judge_merged(sheet: Any, skip: int, issues: Issues) -> None:
    """Raises `FatalIssueError` if cells next to each other are merged in the line of names."""
    if sheet.start is None:
        return
    row = sheet.start[0] + skip
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        if top <= row <= bottom and right > left:
            issues.fail(
                f"its first line must name each column, but its cells {_cell(row, left)} to {_cell(row, right)} are merged",
                {"skip": skip + 1},
                "unmerge them and name each column",
            )


def _cell(row: int, column: int) -> str:
    """Returns the name of a cell, such as B7."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row + 1}"


def _is_full(cell: Cell) -> bool:
    return not isinstance(cell, str) or bool(cell.strip())


def _trimmed(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Returns the rows without empty ones at the end and without empty columns."""
    full_columns = [any(map(_is_full, column)) for column in zip(*rows, strict=True)]
    last = max((number for number, row in enumerate(rows) if any(map(_is_full, row))), default=-1)
    return [[cell for cell, full in zip(row, full_columns, strict=True) if full] for row in rows[: last + 1]]


def _text(cell: Cell, long: bool) -> str:  # noqa: FBT001
    """Returns the text of a cell; a date has its midnight if other dates of its column have a time of day."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, dt.timedelta):
        return repr(cell.total_seconds())
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, dt.date):
        return f"{cell.isoformat()} 00:00:00" if long else cell.isoformat()
    if isinstance(cell, dt.time):
        return cell.isoformat()
    return str(int(cell)) if cell == int(cell) and abs(cell) < 2**53 else repr(cell)
