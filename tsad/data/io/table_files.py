"""Tables of any size: CSV and Parquet files that are read in chunks, with every cell as it is written."""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsad.data.io.containers.location import location
from tsad.data.io.containers.plain import PlainTable, open_plain, reason
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.row_reader import check_names, column_names, csv_line, csv_records, index_names, typed_frame
from tsad.data.io.text import Layout, TextOptions, default_names, infer_layout
from tsad.errors import DataError, shown

_BUFFER = 1 << 16
"""Bytes of a Parquet column that are buffered; without this limit a whole row group is read at once."""


class Chunk(ABC):
    """Consecutive rows of a file.

    Attributes:
        first_row: Number of the first row in the file, from 0.
        size: Part of the file that the rows take up, in the unit of the file.
        names: Names of all columns.
    """

    first_row: int
    size: int
    names: list[str]

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of rows."""

    @abstractmethod
    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Returns some columns with cells as `read_table` reads them; the index numbers the rows as the file does."""

    @abstractmethod
    def texts(self, name: str) -> list[str]:
        """Returns the cells of a column as texts of a CSV; empty cells are ""."""

    @abstractmethod
    def lines(self) -> list[str]:
        """Returns the rows as lines of a CSV without line ends; the lines of a CSV file are unchanged."""

    @abstractmethod
    def table(self, numbers: Sequence[str]) -> pa.Table:
        """Returns the rows as Arrow; a CSV has no types, so columns in `numbers` become float64 and all others text."""


class TableFile(ABC):
    """A file of rows, CSV or Parquet in the end; `open_table` returns one.

    Attributes:
        path: Path of the file.
        names: Names of its columns, which differ.
        header: The names as the first line of a CSV.
        layout: How lines of the file are written; those of a Parquet file in UTF-8 with commas and decimal points.
        size: Size of all rows, in units of `unit`.
        unit: Unit of sizes, "B" (bytes) or "row".
    """

    path: Path
    names: list[str]
    header: str
    layout: Layout
    size: int
    unit: str

    @abstractmethod
    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yields all rows in chunks of at most `rows`; raises `DataError` naming the line that cannot be read."""


_PLAIN = TextOptions()


def open_table(path: Path, options: TextOptions = _PLAIN) -> TableFile:
    """Returns the file at a path, opened for reading in chunks.

    Args:
        path: Path or address of a file of rows (`tsad.data.io.containers`), or of a folder of Parquet files.
        options: How the text of a CSV is written; ignored for Parquet.

    Raises:
        DataError: if the file cannot be read, or is no CSV of this layout and no Parquet file.
    """
    path = location(path)
    plain = open_plain(path, options)
    try:
        return CsvFile(path, plain, plain.options(options)) if plain.is_text else ParquetFile(path, plain)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from None


# --- CSV ---


class CsvFile(TableFile):
    """A CSV file; separator, decimal mark and encoding are inferred as for training where the options leave them open."""

    unit = "B"

    def __init__(self, path: Path, plain: PlainTable, options: TextOptions = _PLAIN) -> None:
        self.path = path
        self.options = options
        self._plain = plain  # as long as it is there, so is its temporary file
        self.size = plain.file.stat().st_size
        self.layout = _layout(path, plain.file, options)
        with self._opened() as file:
            self.header, cells = next(self._records(file))
        self.names = column_names(cells)
        if not options.header:
            self.names = default_names(len(cells))
            self.header = csv_line(self.names, self.layout.separator)
        check_names(str(path), self.names)

    def chunks(self, rows: int) -> Iterator["CsvChunk"]:
        """Yields all rows; a line of more or fewer cells than the header raises `DataError`."""
        with self._opened() as file:
            records = self._rows(file)
            first = read = 0
            while raw_lines := list(islice(records, rows)):
                chunk = CsvChunk(self, first, os.lseek(file.fileno(), 0, os.SEEK_CUR) - read, raw_lines)
                yield chunk
                first, read = first + len(chunk), read + chunk.size

    def _opened(self) -> TextIO:
        return self._plain.file.open(encoding=self.layout.encoding, newline="")

    def _records(self, file: TextIO) -> Iterator[tuple[str, list[str]]]:
        """Yields line and cells of every record below the skipped lines, the header too."""
        skip = self.layout.skip
        for _ in range(skip):
            next(file)
        tolerant = self.options.bad_lines == "drop" or self.options.skip_footer > 0
        return csv_records(file, str(self.path), self.layout.separator, first_line=skip + 1, check=not tolerant)

    def _rows(self, file: TextIO) -> Iterator[tuple[str, list[str]]]:
        """Yields line and cells of every record that is a row; those of another width than the header are left out."""
        records = islice(self._records(file), self.options.header + self.options.skip_after_header, None)
        latest = deque(islice(records, self.options.skip_footer))
        for record in records:
            latest.append(record)
            line, cells = latest.popleft()
            if len(cells) == len(self.names):
                yield line, cells
            elif self.options.bad_lines == "error":
                raise DataError(
                    f"{self.path}: every line must have {len(self.names)} cells, as the header has, but {shown(line)} has "
                    f"{len(cells)}; correct it, or set data.bad_lines=drop"
                )


class CsvChunk(Chunk):
    """Rows of a CSV, each with its line and its cells."""

    def __init__(self, file: CsvFile, first_row: int, size: int, records: Sequence[tuple[str, list[str]]]) -> None:
        self.first_row = first_row
        self.size = size
        self.names = file.names
        self._file = file
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Returns columns as `typed_cells` reads them."""
        layout = self._file.layout
        cell_format = layout.cell_format(self._file.options)
        table = typed_frame(self.lines(), self._file.names, names, separator=layout.separator, cell_format=cell_format)
        return table.set_axis(range(self.first_row, self.first_row + len(self)))

    def texts(self, name: str) -> list[str]:
        """Returns the cells without the quotes around them."""
        column = self._file.names.index(name)
        return [cells[column] for _, cells in self._records]

    def lines(self) -> list[str]:
        """Returns the unchanged lines; a quoted cell may span several of them."""
        return [line for line, _ in self._records]

    def table(self, numbers: Sequence[str]) -> pa.Table:
        """Returns columns of float64 and of text as Arrow."""
        parsed = self.columns(numbers).astype(float)
        columns = {
            name: pa.array(parsed[name]) if name in parsed else pa.array(self.texts(name), pa.string())
            for name in self._file.names
        }
        return pa.table(columns)


def _layout(path: Path, file: Path, options: TextOptions) -> Layout:
    issues = Issues(str(path))
    layout = infer_layout(file, options, issues)
    if issues.items:
        raise FatalIssueError(issues.items[0])
    return layout


# --- Parquet ---


class ParquetFile(TableFile):
    """A Parquet file; an index written by pandas is a column like any other."""

    unit = "row"

    def __init__(self, path: Path, plain: PlainTable) -> None:
        self.path = path
        self._plain = plain
        with self._opened() as file:
            self.names = index_names(file.schema_arrow.names)
            self.size = file.metadata.num_rows
        self.header = csv_line(self.names)
        self.layout = Layout("utf-8", ",", ".", tuple(self.names))
        check_names(str(path), self.names)

    def chunks(self, rows: int) -> Iterator["ParquetChunk"]:
        """Yields all rows."""
        first = 0
        with self._opened() as file:
            batches = file.iter_batches(batch_size=rows)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise self._broken(error) from None
                if batch is None:
                    return
                chunk = ParquetChunk(self.path, first, _renamed(pa.Table.from_batches([batch]), self.names))
                yield chunk
                first += len(chunk)

    def _opened(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._plain.file, buffer_size=_BUFFER, pre_buffer=False)
        except pa.ArrowException as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: is not a parquet table ({' '.join(str(error).split())})")


class ParquetChunk(Chunk):
    """Rows of a Parquet file."""

    def __init__(self, path: Path, first_row: int, table: pa.Table) -> None:
        self.first_row = first_row
        self.size = len(table)
        self.names = table.column_names
        self._path = path
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Returns columns as pandas converts them from Arrow."""
        table: pd.DataFrame = self._table.select(list(names)).replace_schema_metadata().to_pandas()
        return table.set_axis(range(self.first_row, self.first_row + len(self)))

    def texts(self, name: str) -> list[str]:
        """Returns the cells as text; times have no fraction if it is 0.

        Raises:
            DataError: if cells of this type cannot be written as text, such as lists.
        """
        column = self._table[name]
        try:
            text = pc.cast(column, pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise DataError(
                f"{self._path}: column {name!r} of type {column.type} cannot be written as text; write --output as .parquet"
            ) from None
        if pa.types.is_timestamp(column.type):
            text = pc.replace_substring_regex(text, r"\.0+(Z|[+-][0-9:]+)?$", r"\1")
        return ["" if cell is None else cell for cell in text.to_pylist()]

    def lines(self) -> list[str]:
        """Returns the cells separated by commas, quoted where necessary."""
        return [csv_line(cells) for cells in zip(*map(self.texts, self._table.column_names), strict=True)]

    def table(self, numbers: Sequence[str]) -> pa.Table:
        """Returns the columns with the types of the file."""
        return self._table


def _renamed(table: pa.Table, names: list[str]) -> pa.Table:
    return table if table.column_names == names else table.rename_columns(names)
