"""Judgements on the lines of a CSV file: names, units and totals around its rows, and lines of another width."""

import re
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.csv

from tsad.data.io.cells import EMPTY_TEXTS
from tsad.data.io.issues import Cost, Issues
from tsad.data.io.text import SEPARATORS, Layout, TextOptions, is_number
from tsad.errors import shown

_FOOTER = 5
"""Lines at the end of a file that may be no rows."""
_MIDDLE = 200
"""Rows that show which columns hold numbers."""
_DATED = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}([ T].*)?|\d{1,2}:\d{2}(:\d{2})?.*")


def judge_lines(
    bad: Sequence[pyarrow.csv.InvalidRow], rows: Sequence[int], last: int, options: TextOptions, issues: Issues
) -> None:
    """Adds an issue, or a repair, about lines that have more or fewer cells than the first one.

    Args:
        bad: The lines.
        rows: Their numbers below the header.
        last: Number of the last row of the usual width.
        options: How the text is written.
        issues: Receives the issue or the repair.
    """
    if not bad:
        return
    text = (
        f"{len(bad)} rows have another number of cells than the first line, which has {bad[0].expected_columns}, first row "
        f"{rows[0]} with {bad[0].actual_columns} ({shown(bad[0].text)})"
    )
    words = all(_type(re.split(r"[,;\t|]", row.text)[0]) == "word" and not set('\n"') & set(row.text) for row in bad)
    at_end = rows[0] > last and len(bad) <= max(_FOOTER, options.skip_footer) and words
    if options.bad_lines == "drop" or (at_end and len(bad) <= options.skip_footer):
        issues.add_repair(f"{text}; left out")
    elif any("\n" in row.text for row in bad):
        issues.add(
            f"is not a csv table ({text})", advice="close the quote in that row, which takes in the rows below it"
        )
    elif at_end:
        issues.add(f"ends in lines that are no rows ({text})", {"skip_footer": len(bad)}, "remove those lines")
    else:
        issues.add(
            f"is not a csv table ({text})",
            {"bad_lines": "drop"},
            "correct those lines",
            cost=Cost("rows left out", len(bad), last + 1 + len(bad)),
        )


def judge_layout(layout: Layout, options: TextOptions, issues: Issues) -> None:
    """Adds issues about the first line, and as a repair what was assumed about the numbers."""
    if options.header and _is_row(layout.first, layout.sample):
        issues.fail(
            f"the first line must name the columns, but it reads like the rows below it ({shown(', '.join(layout.first))})",
            {"header": False},
            "write a line with names above it",
        )
    if layout.decimal == "," and options.decimal is None:
        issues.add_repair("numbers are written with a decimal comma, it seems, and were read so")
    other = next((mark for mark in (*SEPARATORS, " ") if mark in layout.first[0]), None)
    if len(layout.first) == 1 and other:
        issues.add(
            f"has one column only, {shown(layout.first[0])}, at the separator {layout.separator!r}",
            {"separator": other},
            "rename it" if other == " " else "",
        )


def _is_row(first: Sequence[str], sample: Sequence[Sequence[str]]) -> bool:
    """Returns whether the first line is a row: it holds numbers or times, and each cell is of the type of those below it."""
    types = [_type(cell) for cell in first]
    if "number" not in types and "time" not in types:
        return False
    if [str(number) for number in range(len(first))] == list(first):
        return False  # names such as pandas writes
    below = [row for row in sample if len(row) == len(first)]
    if not below:
        return set(types) == {"number"}
    columns = zip(*below, strict=True)
    return all(
        kind == "" or kind in {_type(cell) for cell in column} for kind, column in zip(types, columns, strict=True)
    )


def judge_ends(layout: Layout, rows: pa.Table, options: TextOptions, issues: Issues) -> None:
    """Adds issues about a line of units below the names, and about lines at the end that are no rows, such as totals.

    Both have no number in any column that holds numbers elsewhere.

    Args:
        layout: Layout of the file.
        rows: (T, columns) texts of the rows.
        options: How the text is written.
        issues: Receives the issues.
    """
    if len(rows) < 2 * _FOOTER:
        return
    middle = rows.slice(_FOOTER, min(_MIDDLE, len(rows) - 2 * _FOOTER)).to_pydict()
    types = {name: [_type(cell) for cell in cells] for name, cells in middle.items()}
    usual = {name: max(("number", "time", "word"), key=kinds.count) for name, kinds in types.items()}
    typed = [
        name for name, kinds in types.items() if usual[name] != "word" and kinds.count(usual[name]) > 0.8 * len(kinds)
    ]
    if "number" not in {usual[name] for name in typed}:
        return

    def is_no_row(cells: Sequence[str]) -> bool:
        kinds = [_type(cell) for cell in cells]
        return "word" in kinds and not {"number", "time"} & set(kinds)

    head, tail = (
        list(zip(*(part[name].to_pylist() for name in typed), strict=True))
        for part in (rows.slice(0, 1), rows.slice(len(rows) - _FOOTER))
    )
    if options.header and not options.skip_after_header and is_no_row(head[0]):
        issues.add(
            f"the line below the names is no row, it seems ({shown(', '.join(layout.sample[0]))})",
            {"skip_after_header": 1},
            "remove it",
        )
    footer = next((number for number, cells in enumerate(reversed(tail)) if not is_no_row(cells)), 0)
    if footer and not options.skip_footer:
        issues.add(
            f"the last {footer} lines are no rows, it seems ({shown(', '.join(tail[-footer]))})",
            {"skip_footer": footer},
            "remove them",
        )


def _type(cell: str) -> str:
    """Returns `number`, `time` or `word`; nothing for an empty cell."""
    text = cell.strip()
    if text in EMPTY_TEXTS:
        return ""
    if is_number(text):
        return "number"
    return "time" if _DATED.fullmatch(text) or _is_iso(text) else "word"


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
