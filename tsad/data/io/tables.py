"""Whole tables of files: columns by name, cells by type."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tsad.data.io.cells import typed_cells
from tsad.data.io.containers.plain import plain_table, reason
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.text import BLOCK, SEPARATORS, Layout, TextOptions, default_names, infer_layout, is_number
from tsad.errors import shown

_PLAIN = TextOptions()


def read_table(path: Path, options: TextOptions = _PLAIN) -> pd.DataFrame:
    """Returns the columns of a file of rows (`tsad.data.io.containers`), its rows numbered from 0.

    Args:
        path: Path of the file, or its address.
        options: How the text of a CSV is written; ignored for Parquet.

    Raises:
        DataError: if the file cannot be read, or has an issue; for all issues at once see `CsvSpec.inspect`.
    """
    issues = Issues(str(path))
    table = read_columns(path, options, issues)
    if issues.items:
        raise FatalIssueError(issues.items[0])
    return table.reset_index(drop=True)


def read_columns(path: Path, options: TextOptions, issues: Issues) -> pd.DataFrame:
    """Returns the columns of a file; the index numbers the rows as the file does, dropped lines included.

    Cells of a CSV are typed by `typed_cells`. Blank lines are ignored, unless there is one column.

    Raises:
        FatalIssueError: if the file is no table; lesser issues are added to `issues`.
    """
    plain = plain_table(path, options, issues)
    try:
        if plain.is_text:
            table = _read_csv(plain.file, plain.options(options), issues)
        else:
            table = pyarrow.parquet.read_table(plain.file, partitioning=None).replace_schema_metadata().to_pandas()
    except OSError as error:
        issues.fail(f"cannot be read ({reason(error)})", advice="give the path of a .csv or .parquet file")
    except (pa.ArrowException, csv.Error, UnicodeError) as error:
        issues.fail(
            f"is not a {'csv' if plain.is_text else 'parquet'} table ({' '.join(str(error).split())})",
            advice="write it again, every quote closed" if plain.is_text else "write it again",
        )
    return _named(table, issues)


def _read_csv(path: Path, options: TextOptions, issues: Issues) -> pd.DataFrame:
    layout = infer_layout(path, options, issues)
    bad: list[pyarrow.csv.InvalidRow] = []

    def skip_row(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    names = [f"f{number}" for number in range(len(layout.first))]
    cells = pyarrow.csv.read_csv(path, *_options(layout, names, skip_row))
    above = 1 + options.header + layout.skip  # records are counted from 1, lines above them too
    wrong = [row.number - above for row in bad]
    _judge_lines(bad, wrong, options, issues)
    _judge_layout(layout, options, issues)
    if options.header:
        cells = cells.slice(1)
    numbers = np.setdiff1d(np.arange(len(cells) + len(wrong)), wrong)
    columns = [typed_cells(column, layout.decimal, options.empty) for column in cells.columns]
    table: pd.DataFrame = pa.table(columns, names).to_pandas().set_axis(numbers)
    if len(names) == 1 and table["f0"].notna().any():
        table = table.loc[: table["f0"].last_valid_index()]  # blank lines at the end
    return table.set_axis(list(layout.first) if options.header else default_names(len(names)), axis=1)


def _options(
    layout: Layout, names: list[str], on_invalid_row: Callable[[pyarrow.csv.InvalidRow], str]
) -> tuple[pyarrow.csv.ReadOptions, pyarrow.csv.ParseOptions, pyarrow.csv.ConvertOptions]:
    """Returns options by which pyarrow reads every cell as text, and calls `on_invalid_row` for rows of another width."""
    return (
        pyarrow.csv.ReadOptions(
            use_threads=False, block_size=BLOCK, column_names=names, encoding=layout.encoding, skip_rows=layout.skip
        ),
        pyarrow.csv.ParseOptions(
            delimiter=layout.separator,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,
            invalid_row_handler=on_invalid_row,
        ),
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _judge_lines(bad: list[pyarrow.csv.InvalidRow], rows: list[int], options: TextOptions, issues: Issues) -> None:
    if not bad:
        return
    text = (
        f"{len(bad)} rows have another number of cells than the first line, which has {bad[0].expected_columns}, first row "
        f"{rows[0]} with {bad[0].actual_columns} ({shown(bad[0].text)})"
    )
    if options.bad_lines == "drop":
        issues.add_repair(f"{text}; left out")
    elif any("\n" in row.text for row in bad):
        issues.add(
            f"is not a csv table ({text})", advice="close the quote in that row, which takes in the rows below it"
        )
    else:
        issues.add(f"is not a csv table ({text})", {"bad_lines": "drop"}, "correct those lines")


def _judge_layout(layout: Layout, options: TextOptions, issues: Issues) -> None:
    """Adds issues about the first line, and as a repair what was assumed about the numbers."""
    numbers = [cell for cell in layout.first if is_number(cell)]
    if (
        options.header
        and len(numbers) == len(layout.first)
        and numbers != [str(number) for number in range(len(numbers))]
    ):
        issues.add(
            f"the first line must name the columns, but holds numbers ({shown(', '.join(numbers))})",
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


def _named(table: pd.DataFrame, issues: Issues) -> pd.DataFrame:
    """Returns the table with a name for each column; adds issues for repeated names, and repairs for invented ones."""
    names = [str(name).strip() for name in table.columns]
    unnamed = [column for column, name in enumerate(names) if not name or name.startswith("__index_level_")]
    for column in unnamed:
        names[column] = f"unnamed_{column}"
    if unnamed:
        invented = ", ".join(names[column] for column in unnamed)
        issues.add_repair(f"columns {unnamed} have no name and are called {invented}")
    for name in [name for name, count in Counter(names).items() if count > 1]:
        columns = [column for column, other in enumerate(names) if other == name]
        issues.add(f"columns must differ in name, but {columns} are all called {name!r}", advice="rename all but one")
    repeated = pd.Index(names).duplicated()
    unique = [name for name, again in zip(names, repeated, strict=True) if not again]
    return table.loc[:, ~repeated].set_axis(unique, axis=1)
