"""Tables of any size, written chunk by chunk, whole or not at all."""

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

from tsad.data.io.table_files import Chunk, TableFile, csv_line
from tsad.errors import DataError


@contextmanager
def atomic_write(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yields a name for each target to write under; the files get their own names at the end, or are removed after an error.

    Raises:
        DataError: if one cannot be written.
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
    """Writes rows beside columns that become known later than they; the rows that wait are kept."""

    @abstractmethod
    def keep(self, chunk: Chunk) -> None:
        """Takes the next rows."""

    @abstractmethod
    def write(self, added: pd.DataFrame) -> None:
        """Writes as many of the oldest waiting rows as `added` has, with its columns on their right; NaN is an empty cell."""

    @abstractmethod
    def close(self) -> None:
        """Ends the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CsvWriter(TableWriter):
    """Writes a CSV.

    Args:
        path: Of the file.
        source: Whose rows they are: the added cells have its separator and its decimal mark.
    """

    def __init__(self, path: Path, source: TableFile) -> None:
        self._layout = source.layout
        self._file = path.open("w", encoding="utf-8", newline="")
        self._header: str | None = source.header
        self._lines: list[str] = []

    def keep(self, chunk: Chunk) -> None:
        """Takes the next rows."""
        self._lines += chunk.lines()

    def write(self, added: pd.DataFrame) -> None:
        """Writes waiting rows: each line to the letter, then the added cells."""
        separator = self._layout.separator
        if self._header is not None:
            self._file.write(separator.join([self._header, *map(self._quoted, added.columns)]) + "\n")
            self._header = None
        columns = [self._texts(pa.array(column, from_pandas=True)) for _, column in added.items()]
        rows = zip(self._lines[: len(added)], *columns, strict=True)
        self._file.writelines(f"{separator.join(row)}\n" for row in rows)
        del self._lines[: len(added)]

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _texts(self, column: pa.Array) -> list[str]:
        cells = column.to_pylist()
        if pa.types.is_floating(column.type):
            return ["" if cell is None else repr(cell).replace(".", self._layout.decimal) for cell in cells]
        texts = {cell: "" if cell is None else self._quoted(str(cell)) for cell in set(cells)}
        return [texts[cell] for cell in cells]

    def _quoted(self, cell: str) -> str:
        return csv_line([cell], self._layout.separator)


class ParquetWriter(TableWriter):
    """Writes a Parquet file, one row group a call.

    Args:
        path: Of the file.
        numbers: Columns of a CSV that are numbers, as `Chunk.table` takes them.
    """

    def __init__(self, path: Path, numbers: Sequence[str]) -> None:
        self._path = path
        self._numbers = tuple(numbers)
        self._file: pq.ParquetWriter | None = None
        self._kept: list[pa.Table] = []

    def keep(self, chunk: Chunk) -> None:
        """Takes the next rows."""
        self._kept.append(chunk.table(self._numbers))

    def write(self, added: pd.DataFrame) -> None:
        """Writes waiting rows, their types as they were."""
        kept = pa.concat_tables(self._kept)
        table = kept.slice(0, len(added))
        self._kept = [kept.slice(len(added))]
        for name, column in added.items():
            table = table.append_column(str(name), pa.array(column, from_pandas=True))
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema)
        if len(table):
            self._file.write_table(table)

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            self._file.close()
