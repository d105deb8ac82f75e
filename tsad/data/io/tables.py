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
from tsad.data.io.table_shape import judge_ends, judge_layout, judge_lines
from tsad.data.io.text import BLOCK, Layout, TextOptions, default_names, infer_layout

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
    source = _single_blanks(path, layout) if layout.separator == " " else path
    cells = pyarrow.csv.read_csv(source, *_options(layout, names, skip_row))
    no_rows = options.header + options.skip_after_header  # lines of the table that are above its first row
    above = 1 + no_rows + layout.skip  # records are counted from 1, lines above them too
    wrong = [row.number - above for row in bad]
    numbers = np.setdiff1d(np.arange(-no_rows, len(cells) + len(wrong) - no_rows), wrong)
    last = int(numbers[-1]) if len(numbers) else -1
    footer = max(options.skip_footer - sum(row > last for row in wrong), 0)
    rows = cells.slice(no_rows, max(len(cells) - no_rows - footer, 0))
    judge_lines(bad, wrong, last, options, issues)
    judge_layout(layout, options, issues)
    judge_ends(layout, rows, options, issues)
    columns = [typed_cells(column, layout.cell_format(options)) for column in rows.columns]
    table: pd.DataFrame = pa.table(columns, names).to_pandas().set_axis(numbers[no_rows : no_rows + len(rows)])
    if len(names) == 1 and table["f0"].notna().any():
        table = table.loc[: table["f0"].last_valid_index()]  # blank lines at the end
    return table.set_axis(list(layout.first) if options.header else default_names(len(names)), axis=1)


def _single_blanks(path: Path, layout: Layout) -> pa.BufferReader:
    """Returns a file whose cells are separated by runs of blanks with one blank between them."""
    with path.open(encoding=layout.encoding, newline="") as file:
        lines = [f"{' '.join(line.split())}\n" for line in file]
    return pa.BufferReader("".join(lines).encode(layout.encoding))


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
