"""Tables with typed columns in other forms than Parquet: Arrow, arrays of NumPy, folders of Parquet files."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tsad.data.io.cells import typed_cells
from tsad.data.io.containers.archives import copy_member
from tsad.data.io.containers.kinds import ENDINGS, ZIP_ERRORS, kind_of, without_endings
from tsad.data.io.issues import Issues
from tsad.data.io.text import default_names
from tsad.errors import shown

_ROWS = 1 << 16
"""Rows that are in memory at once, and rows of a row group."""
_BUFFER = 1 << 16
"""Bytes of a Parquet column that are buffered."""
_CELLS = 1 << 24
"""Cells of an array that are in memory at once."""
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def arrow_to_parquet(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes an Arrow file (Feather) or an Arrow stream as Parquet, and returns its path; raises `FatalIssueError`."""
    try:
        with pa.OSFile(str(file)) as source:
            is_file = source.read(8) == b"ARROW1\0\0"
            source.seek(0)
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
            return _write_parquet(folder, reader.schema.remove_metadata(), batches)
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise
        issues.fail(f"is not an Arrow table that can be read ({_line(error)})", advice="write it again, or as .parquet")


def array_to_parquet(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes the array of a `.npy` file as Parquet, and returns its path.

    A (T, F) array has the columns f00, f01, ...; a (T,) array has one, or those of its fields. Nothing is unpickled.

    Raises:
        FatalIssueError: if it is no array of numbers, times or texts, or has three axes.
    """
    return _write_arrays(folder, {"": _array(file, "", issues)}, issues)


def arrays_to_parquet(file: Path, folder: Path, issues: Issues) -> Path:
    """Writes the arrays of a `.npz` file as Parquet, and returns its path.

    One (T, F) array has the columns f00, f01, ...; each (T,) array is a column by its name, and all must have T rows.

    Raises:
        FatalIssueError: if arrays differ in their rows, or are not as `array_to_parquet` wants them.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                arrays[name] = _array(copy_member(archive, member, folder), name, issues)
    except ZIP_ERRORS as error:
        issues.fail(f"is not an .npz file, or a damaged one ({error})", advice="save it again with numpy.savez")
    shapes = {name: array.shape for name, array in arrays.items()}
    if (
        not arrays
        or len({shape[0] for shape in shapes.values()}) > 1
        or sum(len(shape) == 2 for shape in shapes.values()) > 1
    ):
        issues.fail(
            f"must hold one two-dimensional array, or columns of equal length, or both, but holds {shown(shapes, 400)}",
            advice="save what belongs to one table",
        )
    return _write_arrays(folder, arrays, issues)


def folder_to_parquet(source: Path, folder: Path, issues: Issues) -> Path:
    """Writes the Parquet files of a folder and of the folders in it as one, and returns its path.

    Files follow each other in the order of their paths, in which numbers count as numbers, so `day=9` is before `day=10`.
    Folders such as `day=9` become columns on the right, unless the files have such a column. A column that a file does not have
    is empty there. Names that begin with `_` or `.` are ignored.

    Raises:
        FatalIssueError: if there is no Parquet file, one is damaged, or a column has types that do not go together.
    """
    paths = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    paths = sorted((path for path in paths if not any(part[0] in "._" for part in path.parts)), key=_natural)
    files = [path for path in paths if _is_parquet(source, path)]
    others = [path for path in paths if path not in files and without_endings(path.name)[1] not in {None, "text"}]
    tables = [path for path in paths if path.suffix.lower() in {".csv", ".tsv"}]
    if not files or others or tables:
        issues.fail(
            f"a folder must hold one table as Parquet files, but has {len(files)} of them"
            + (f" and {shown([str(path) for path in (*others, *tables)], 200)}" if others or tables else ""),
            advice="give the path of a file, or of another folder",
        )
    schemas = [_schema(source, path, issues) for path in files]
    schema = schemas[0]
    for path, other in zip(files, schemas, strict=True):
        try:
            schema = pa.unify_schemas([schema, other], promote_options="permissive")
        except pa.ArrowException as error:
            issues.fail(
                f"{path} does not go together with the files before it ({_line(error)})", advice="write both alike"
            )
    partitions = _partitions(files, set(schema.names))
    full = pa.schema(
        [*(schema.field(name) for name in schema.names), *((name, column.type) for name, column in partitions.items())]
    )
    return _write_parquet(folder, full, _batches(source, files, full, partitions, issues))


def _is_parquet(source: Path, path: Path) -> bool:
    """Returns whether a file is Parquet by its ending, or by its content if it has no ending."""
    if not path.suffix:
        return kind_of(source / path, path.name) == "parquet"
    return path.suffix.lower() in ENDINGS and ENDINGS[path.suffix.lower()] == "parquet"


def _schema(source: Path, path: Path, issues: Issues) -> pa.Schema:
    try:
        return pq.read_schema(source / path).remove_metadata()
    except (pa.ArrowException, OSError) as error:
        issues.fail(f"{path} is not a parquet table ({_line(error)})", advice="write it again, or remove it")


def _partitions(files: list[Path], names: set[str]) -> dict[str, pa.ChunkedArray]:
    """Returns the (files,) cells of each column that folders hold, typed as those of a CSV."""
    cells: list[dict[str, str]] = []
    for path in files:
        pairs = (part.partition("=") for part in path.parent.parts if "=" in part)
        cells.append({unquote(name): "" if value == _NO_PARTITION else unquote(value) for name, _, value in pairs})
    columns = dict.fromkeys(name for pairs in cells for name in pairs if name not in names)
    return {name: typed_cells(pa.chunked_array([[pairs.get(name, "") for pairs in cells]])) for name in columns}


def _batches(
    source: Path, files: list[Path], schema: pa.Schema, partitions: Mapping[str, pa.ChunkedArray], issues: Issues
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of all files with the columns and types of the schema."""
    for number, path in enumerate(files):
        try:
            with pq.ParquetFile(source / path, buffer_size=_BUFFER, pre_buffer=False) as file:
                for batch in file.iter_batches(batch_size=_ROWS):
                    columns = {name: pa.repeat(column[number], len(batch)) for name, column in partitions.items()}
                    for field in schema:
                        if field.name in batch.schema.names:
                            columns[field.name] = batch[field.name].cast(field.type)
                        elif field.name not in columns:
                            columns[field.name] = pa.nulls(len(batch), field.type)
                    yield pa.record_batch([columns[name] for name in schema.names], schema=schema)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None):
                raise
            issues.fail(
                f"{path} is not a parquet table, or not like the others ({_line(error)})", advice="write it again"
            )


def _array(file: Path, name: str, issues: Issues) -> NDArray[Any]:
    """Returns an array that stays in its file."""
    where = f"its array {name!r} " if name else ""
    try:
        array = np.lib.format.open_memmap(file, mode="r")  # which never unpickles
    except Exception as error:  # the parser of the header raises many kinds
        if isinstance(error, ValueError) and "empty file" in str(error):  # an array without rows cannot be mapped
            return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
        issues.fail(f"{where}is not an array of numbers ({_line(error)})", advice="save it again with numpy.save")
    types = [array.dtype] if array.dtype.names is None else [array.dtype[field] for field in array.dtype.names]
    if not all(dtype.kind in "biufMU" and not dtype.shape for dtype in types):
        issues.fail(
            f"{where}must hold numbers, but holds {shown(str(array.dtype))}", advice="save numbers, or another form"
        )
    if array.ndim not in {1, 2} or (array.ndim == 2 and not array.shape[1]):
        issues.fail(
            f"{where}must have the shape (rows, columns), but has {array.shape}",
            advice="save one table; windows or series that are stacked are several",
        )
    return array


def _write_arrays(folder: Path, arrays: Mapping[str, NDArray[Any]], issues: Issues) -> Path:
    def part(first: int, last: int) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {}
        for name, array in arrays.items():
            rows = array[first:last]
            if array.dtype.names is not None:
                columns |= {field: rows[field] for field in array.dtype.names}
            elif array.ndim == 1:
                columns[name or default_names(1)[0]] = rows
            else:
                columns |= dict(zip(default_names(array.shape[1]), rows.T, strict=True))
        return columns

    length = len(next(iter(arrays.values())))
    width = sum(len(array.dtype.names or ()) or (array.shape[1] if array.ndim == 2 else 1) for array in arrays.values())
    step = min(_ROWS, max(1, _CELLS // width))
    if len(part(0, 0)) < width:
        issues.fail("two of its arrays give columns of one name", advice="rename one of them")

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, max(length, 1), step):
            yield pa.RecordBatch.from_pydict(
                {name: _arrow(column) for name, column in part(first, first + step).items()}
            )

    try:
        first = next(batches())
        return _write_parquet(folder, first.schema, batches())
    except pa.ArrowException as error:
        issues.fail(f"holds values that no table can ({_line(error)})", advice="save numbers, or another form")


def _arrow(column: NDArray[Any]) -> pa.Array:
    """Returns a column in the byte order of this machine, numbers of 16 bits with 32."""
    if column.dtype.kind == "f" and column.dtype.itemsize not in {4, 8}:
        return pa.array(column.astype(np.float32 if column.dtype.itemsize < 4 else np.float64))
    return pa.array(np.ascontiguousarray(column, column.dtype.newbyteorder("=")))


def _write_parquet(folder: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """Writes batches as one Parquet file with row groups of about `_ROWS` rows, and returns its path."""
    target = folder / "rows.parquet"
    buffer: list[pa.RecordBatch] = []
    with pq.ParquetWriter(target, schema) as writer:
        for batch in batches:
            buffer.append(batch)
            if sum(map(len, buffer)) >= _ROWS:
                writer.write_table(pa.Table.from_batches(buffer, schema), row_group_size=_ROWS)
                buffer.clear()
        if buffer:
            writer.write_table(pa.Table.from_batches(buffer, schema), row_group_size=_ROWS)
    return target


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Returns a key by which paths are sorted part by part, numbers in them as numbers."""
    words = re.findall(r"\d+|\D", str(PurePosixPath(path)))
    return [(0, int(word), "") if word.isdecimal() else (1, 0, word) for word in words]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
