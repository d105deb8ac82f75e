"""Tables whose names are not one line of cells: printed with aligned columns, or with names in several lines."""

import csv
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tsad.data.io.issues import Issues
from tsad.errors import shown

_HEAD = 200
"""Lines that show what a text is."""
_SHORTENED = re.compile(r"[\s.…]*(\.\.+|…)[\s.…\d]*")
_FOOTER = re.compile(r"\s*\[\d+ rows? x \d+ columns?\]\s*")
_NAME_LINES = 4
"""Lines of names, at most."""
_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?")
_MOMENT = re.compile(rf"{_DATE.pattern}([ T]{_CLOCK.pattern})?")
_MARKS = ("\t", ";", "|", ",")
_SHORT_ADVICE = 'write all rows, with frame.to_csv("rows.csv")'


def is_printed(file: Path) -> bool:
    """Returns whether a text is a table aligned with blanks, whose lines of names have fewer words than its rows."""
    lines = _head(file)
    if len(lines) < 3 or any(sum(mark in line for line in lines) > len(lines) / 2 for mark in _MARKS):
        return False
    lines = [line.expandtabs() for line in lines]
    count = _count_of_name_lines(lines)
    rows = [line for line in lines[count:] if not _SHORTENED.fullmatch(line) and not _FOOTER.fullmatch(line)]
    ragged = len({len(line.split()) for line in (*lines[:count], *rows)}) > 1
    ends = {len(line) for line in rows}
    return bool(rows) and ragged and len(ends) == 1 and len(_spans(rows)) > 1 and all("  " in line for line in rows[:3])


def printed_to_csv(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes a table that was printed with aligned columns, such as `frame.to_string()`, as a CSV file, and returns its path.

    Columns are what lies between characters that are blank in all rows. A date and the time of day behind it are one column if
    they have no two names. Names in several lines are joined by points; the name of an index stands alone in its line.

    Args:
        file: Path of the text, in UTF-8.
        folder: Folder that is written into.
        issues: Receives what was assumed.

    Raises:
        FatalIssueError: if the table was shortened while it was printed.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        issues.fail(f"is a printed table, but no text in utf-8 ({error.reason})", advice="write it again as utf-8")
    lines = [line.rstrip("\r\n").expandtabs() for line in text.splitlines() if line.strip()]
    short = next((line for line in lines if _SHORTENED.fullmatch(line) or _FOOTER.fullmatch(line)), None)
    if short is not None:
        issues.fail(f"is a table that was shortened when it was printed ({shown(short.strip())})", advice=_SHORT_ADVICE)
    count = _count_of_name_lines(lines)
    spans = _spans(lines[count:])
    rows = [[line[start:stop].strip() for start, stop in spans] for line in lines[count:]]
    names = [""] * len(spans) if count == 0 else joined_names([_by_column(line, spans) for line in lines[:count]])
    names, rows = _with_whole_times(names, rows)
    issues.add_repair(f"is a printed table, it seems; its columns were read as {shown(names)}")
    return _written(folder, [names, *rows])


def has_name_levels(file: Path) -> bool:
    """Returns whether the names of a CSV stand in several lines, as pandas writes columns of several levels.

    Then the first line repeats a name, or a line names the index alone. A line of units below names that differ is neither.
    """
    lines = _head(file)
    separator = max(_MARKS, key=lambda mark: lines[0].count(mark)) if lines else ","
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return False
    count = _count_of_name_rows(rows)
    if not 2 <= count < len(rows) or len({len(row) for row in rows[: count + 1]}) > 1:
        return False
    named = [name for name in rows[0][1:] if name]
    names = joined_names(rows[:count])
    alone = _names_index(rows[count - 1], rows[0]) and count > 1
    return len(set(names)) == len(names) and len(named) > 1 and (len(set(named)) < len(named) or alone)


def name_levels_to_csv(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes a CSV whose names stand in several lines with one line of names, joined by points, and returns its path."""
    lines = _head(file)
    separator = max(_MARKS, key=lambda mark: lines[0].count(mark))
    count = _count_of_name_rows(list(csv.reader(lines, delimiter=separator)))
    target = folder / "rows.csv"
    with (
        file.open(encoding="utf-8-sig", newline="") as opened,
        target.open("w", encoding="utf-8", newline="") as written,
    ):
        reader = csv.reader(opened, delimiter=separator)
        names = joined_names(list(islice(reader, count)))
        issues.add_repair(f"its names stand in {count} lines and were joined ({shown(names)})")
        writer = csv.writer(written, delimiter=separator, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(reader)
    return target


def _head(file: Path) -> list[str]:
    """Returns the first lines that are not blank; nothing if the file is no text in UTF-8."""
    try:
        with file.open(encoding="utf-8-sig") as opened:
            return [line.rstrip("\n") for line in islice(opened, _HEAD) if line.strip()]
    except UnicodeDecodeError:
        return []


def _is_value(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return _MOMENT.fullmatch(cell.strip()) is not None or _CLOCK.fullmatch(cell.strip()) is not None
    return True


def _count_of_name_lines(lines: Sequence[str]) -> int:
    """Returns how many lines stand above the first with a number or a moment."""
    return next((n for n, line in enumerate(lines[: _NAME_LINES + 1]) if any(map(_is_value, line.split()))), 0)


def _count_of_name_rows(rows: Sequence[Sequence[str]]) -> int:
    return next((n for n, row in enumerate(rows[: _NAME_LINES + 1]) if any(map(_is_value, row))), 0)


def _names_index(last: Sequence[str], first: Sequence[str]) -> bool:
    """Returns whether the last line of names only names what the first one leaves without a name."""
    return any(last) and all(not above for above, cell in zip(first, last, strict=True) if cell)


def joined_names(lines: Sequence[Sequence[str]]) -> list[str]:
    """Returns the names of columns that stand in several lines; an upper one stands over the first of its columns, or over each.

    Example:
        >>> joined_names([["", "pump", "", "tank"], ["", "flow", "heat", "level"], ["time", "", "", ""]])
        ['time', 'pump.flow', 'pump.heat', 'tank.level']
    """
    levels = [[cell.strip() for cell in line] for line in lines]
    index: Sequence[str] = (
        levels.pop() if len(levels) > 1 and _names_index(levels[-1], levels[0]) else [""] * len(levels[0])
    )
    for level in levels[:-1]:
        for column in range(1, len(level)):
            level[column] = level[column] or (level[column - 1] if levels[-1][column] else "")
    joined = [".".join(cell for cell in cells if cell) for cells in zip(*levels, strict=True)]
    return [own or name for own, name in zip(index, joined, strict=True)]


def _spans(rows: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the first character of each column and the one after its last."""
    width = max(map(len, rows), default=0)
    used = [False] * (width + 1)
    for line in rows:
        for match in re.finditer(r"\S+", line):
            used[match.start() : match.end()] = [True] * (match.end() - match.start())
    edges = [n for n in range(width + 1) if used[n] != (n > 0 and used[n - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _by_column(line: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Returns the name above each column: that which ends, or begins, nearest to its end or beginning."""
    names = [""] * len(spans)
    for match in re.finditer(r"\S+(?: \S+)*", line):
        distances = [min(abs(stop - match.end()), abs(start - match.start())) for start, stop in spans]
        names[distances.index(min(distances))] = match[0]
    return names


def _with_whole_times(names: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Returns the columns with a date and the time of day behind it as one, unless both have names."""
    for column in range(len(names) - 2, -1, -1):
        unnamed = not (names[column] and names[column + 1])
        if unnamed and all(_DATE.fullmatch(row[column]) and _CLOCK.fullmatch(row[column + 1]) for row in rows):
            names = [*names[:column], names[column] or names[column + 1], *names[column + 2 :]]
            rows = [[*row[:column], " ".join(row[column : column + 2]), *row[column + 2 :]] for row in rows]
    return names, rows


def _written(folder: Path, rows: Sequence[Sequence[str]]) -> Path:
    target = folder / "rows.csv"
    with target.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows(rows)
    return target
