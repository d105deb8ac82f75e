"""Tables of any size, written in chunks, completely or not at all."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tsad.data.io.row_reader import csv_line
from tsad.data.io.table_files import Chunk, TableFile
from tsad.errors import DataError


@contextmanager
def atomic_write(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yields a temporary path for each target; the files are renamed to their targets at the end, or removed after an error.

    Args:
        targets: Paths of the files to write; existing files are replaced.

    Raises:
        DataError: if a file cannot be written.
    """
    temporary_paths = tuple(target.with_name(f".{os.getpid()}.{target.name}") for target in targets)
    try:
        yield temporary_paths
        for temporary_path, target in zip(temporary_paths, targets, strict=True):
            temporary_path.replace(target)
    except OSError as error:
        raise DataError(f"{' and '.join(map(str, targets))}: cannot be written ({error.strerror or error})") from None
    finally:
        for temporary_path in temporary_paths:
            with suppress(OSError):
                temporary_path.unlink()


class TableWriter(ABC):
    """Writes rows together with columns that are computed later; rows are buffered until their columns are there."""

    @abstractmethod
    def append(self, chunk: Chunk) -> None:
        """Buffers the next rows."""

    @abstractmethod
    def write(self, added: pd.DataFrame) -> None:
        """Writes as many of the oldest buffered rows as `added` has, with its columns on their right; NaN is an empty cell."""

    @abstractmethod
    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CsvWriter(TableWriter):
    """Writes a CSV file.

    Args:
        path: Path of the file.
        source: File that the rows come from; added cells have its separator and its decimal mark.
    """

    def __init__(self, path: Path, source: TableFile) -> None:
        self._layout = source.layout
        self._file = path.open("w", encoding="utf-8", newline="")
        self._header: str | None = source.header
        self._lines: list[str] = []

    def append(self, chunk: Chunk) -> None:
        """Buffers the next rows."""
        self._lines += chunk.lines()

    def write(self, added: pd.DataFrame) -> None:
        """Writes buffered rows: each line unchanged, then the added cells."""
        separator = self._layout.separator
        if self._header is not None:
            self._file.write(separator.join([self._header, *map(self._quoted, added.columns)]) + "\n")
            self._header = None
        columns = [self._texts(pa.array(column, from_pandas=True)) for _, column in added.items()]
        rows = zip(self._lines[: len(added)], *columns, strict=True)
        self._file.writelines(f"{separator.join(row)}\n" for row in rows)
        del self._lines[: len(added)]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _texts(self, column: pa.Array) -> list[str]:
        cells = column.to_pylist()
        if pa.types.is_floating(column.type):
            return ["" if cell is None else self._quoted(self._number(cell)) for cell in cells]
        texts = {cell: "" if cell is None else self._quoted(str(cell)) for cell in set(cells)}
        return [texts[cell] for cell in cells]

    def _number(self, cell: float) -> str:
        return repr(cell).replace(".", self._layout.decimal)

    def _quoted(self, cell: str) -> str:
        if self._layout.separator not in cell and '"' not in cell and "\n" not in cell and cell:
            return cell
        return csv_line([cell], self._layout.separator)


class ParquetWriter(TableWriter):
    """Writes a Parquet file, one row group for each call of `write`.

    Args:
        path: Path of the file.
        numbers: Names of the columns of a CSV that become float64, as for `Chunk.table`.
    """

    def __init__(self, path: Path, numbers: Sequence[str]) -> None:
        self._path = path
        self._numbers = tuple(numbers)
        self._file: pq.ParquetWriter | None = None
        self._buffer: list[pa.Table] = []

    def append(self, chunk: Chunk) -> None:
        """Buffers the next rows."""
        self._buffer.append(chunk.table(self._numbers))

    def write(self, added: pd.DataFrame) -> None:
        """Writes buffered rows with their own types."""
        rows = pa.concat_tables(self._buffer)
        table = rows.slice(0, len(added))
        self._buffer = [rows.slice(len(added))]
        for name, column in added.items():
            table = table.append_column(str(name), pa.array(column, from_pandas=True))
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema)
        if len(table):
            self._file.write_table(table)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
