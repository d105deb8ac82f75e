"""Rows of CSV text one by one: the records of a file that is read in chunks, and of a request's body."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from tsad.data.io.cells import CellFormat, typed_cells
from tsad.data.io.text import BLOCK
from tsad.errors import DataError

_PLAIN = CellFormat()


def csv_records(
    lines: Iterable[str], source: str, separator: str = ",", first_line: int = 1, *, check: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Yields the raw text and the cells of every record, the header too; a quoted cell may span several lines.

    A blank line is an empty cell if there is one column, and nothing if there are more.

    Args:
        lines: Lines of the table with their ends.
        source: Name of the file or the body, for errors.
        separator: Character between two cells; a run of blanks is one, and the text of a record then has single ones.
        first_line: Number of the first of the lines in its file, from 1.
        check: Whether a line of another number of cells than the first one is an error; if not, it is yielded as it is.

    Raises:
        DataError: naming the line that is no CSV, or has another number of cells than the header.
    """
    raw_lines: list[str] = []
    if separator == " ":
        lines = (f"{' '.join(line.split())}\n" for line in lines)
    reader = csv.reader(_copied(lines, raw_lines), delimiter=separator, strict=True)
    width = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            line_number = first_line + reader.line_num - 1
            raise DataError(f"{source}: line {line_number} is not CSV ({error}); correct its quotes") from None
        if cells is None:
            return
        text, line_number = "".join(raw_lines).rstrip("\r\n"), first_line + reader.line_num - len(raw_lines)
        raw_lines.clear()
        if not text.strip() and width != 1:
            continue
        cells, width = cells or [""], width or len(cells)
        if check and len(cells) != width:
            raise DataError(
                f"{source}: every line must have {width} cells, as the header has, but line {line_number} has {len(cells)}; "
                f"correct that line, or quote the cell that holds a {separator!r}"
            )
        yield text, cells


def column_names(header: Sequence[str]) -> list[str]:
    """Returns the names in a header without the blanks around them; a column without a name is `unnamed_` and its number."""
    return [cell.strip() or f"unnamed_{number}" for number, cell in enumerate(header)]


def index_names(names: Sequence[str]) -> list[str]:
    """Returns the names of a Parquet file, in which an index without a name is `unnamed_` and the number of its column."""
    return column_names(["" if name.startswith("__index_level_") else name for name in names])


def check_names(source: str, names: Sequence[str]) -> None:
    """Raises `DataError` unless all columns differ in name."""
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise DataError(f"{source}: columns must differ in name, but two are called {twice[0]!r}; rename one of them")


def typed_frame(
    lines: Sequence[str],
    names: Sequence[str],
    selected: Sequence[str],
    *,
    separator: str = ",",
    cell_format: CellFormat = _PLAIN,
) -> pd.DataFrame:
    """Returns some columns of CSV lines, their cells as `typed_cells` reads them; empty cells are NaN or None.

    Args:
        lines: One for each row, without its end, as `csv_records` yields them.
        names: Names of all columns.
        selected: Names of the columns to return, in this order.
        separator: Character between two cells.
        cell_format: Text format of the cells.
    """
    if not lines or not selected:
        return pd.DataFrame(index=range(len(lines)), columns=list(selected), dtype=float)
    content = "\n".join([*lines, ""]).encode()
    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=max(BLOCK, len(content)), column_names=list(names)),
        pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(names) > 1),
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(selected, pa.string()), include_columns=list(selected)),
    )
    columns = [typed_cells(column, cell_format) for column in table.columns]
    frame: pd.DataFrame = pa.table(columns, [str(number) for number in range(len(columns))]).to_pandas()
    return frame.set_axis(list(selected), axis=1)


def read_csv_text(text: str, source: str, raw: Sequence[str] = ()) -> pd.DataFrame:
    """Returns the table of a CSV text with a header, commas, and decimal points; cells as `typed_cells` reads them.

    Args:
        text: The whole table.
        source: Name of the source, for errors.
        raw: Names in small letters of columns whose cells stay texts as they are written.

    Raises:
        DataError: if there is no header, two columns share a name, or a line does not have its number of cells.
    """
    records = csv_records(io.StringIO(text, newline=""), source)
    header = next(records, None)
    if header is None:
        raise DataError(f"{source}: is empty; give a header row with the names of the columns, and rows below it")
    names = column_names(header[1])
    check_names(source, names)
    lines: list[str] = []
    texts: dict[int, list[str]] = {number: [] for number, name in enumerate(names) if name.lower() in raw}
    for line, cells in records:
        lines.append(line)
        for number, column in texts.items():
            column.append(cells[number])
    table = typed_frame(lines, names, [name for name in names if name.lower() not in raw])
    for number, column in texts.items():
        table.insert(number, names[number], pd.Series(column, dtype=object))
    return table


def _copied(lines: Iterable[str], raw_lines: list[str]) -> Iterator[str]:
    for line in lines:
        raw_lines.append(line)
        yield line


def csv_line(cells: Sequence[str], separator: str = ",") -> str:
    """Returns cells as a line of a CSV without line end, quoted where necessary."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="").writerow(cells)
    return text.getvalue()
