"""Parquet bodies: measured by their metadata and by the head of each page before anything is decompressed.

A page of some bytes can decompress to gigabytes, and the metadata at the end of a file can say anything about it. The head
of a page is what the decompressor goes by, so each of them is read first.
"""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsad.errors import shown
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import RequestError

_NUMBERS = frozenset({"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE"})
_TEXT = "BYTE_ARRAY"
_ENCODINGS = {0: (5, 2), 2: (7, 2), 3: (8, 4)}
"""Fields of the head of a page, and in that, that say its encoding, by the kind of page: data, dictionary, data of version 2."""
_PLAIN_TEXTS = frozenset({0, 2, 8})
"""Encodings PLAIN, PLAIN_DICTIONARY and RLE_DICTIONARY."""
_FOOTER = 5_000_000
"""Largest size of the metadata in bytes: 10,000 columns in one row group need 3 MB."""
_METADATA = 1_000_000
"""Largest size of a text or list in the metadata."""
_DEEPEST = 16
"""Structs in structs in the head of a page."""

_BOOLEANS, _I8, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = (
    (1, 2),
    *((kind,) for kind in range(3, 13)),
)
"""Types of Thrift's compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md"""


def plain_parquet(content: bytes, features: Sequence[str], limits: BodyLimits, text: str | None = None) -> bytes:
    """Returns a Parquet file of the features in a body, with nothing else in it.

    Args:
        content: Parquet file that came.
        features: Columns to keep; those that it lacks are left to whoever checks the table.
        limits: Limits of rows, columns, cells and decompressed bytes.
        text: Column to keep that may hold text, such as names of entities; None for none.

    Raises:
        RequestError: if it is no Parquet file, too large, or a feature is a column of anything but numbers.
    """
    try:
        _check_footer(content)
        file = pq.ParquetFile(
            io.BytesIO(content),
            thrift_string_size_limit=_METADATA,
            thrift_container_size_limit=_METADATA,
            read_dictionary=[] if text is None else [text],  # a short page may repeat a long text for each row
        )
        indices = _check(file.metadata, content, (features, text), limits)
        table = file.read(columns=[file.metadata.schema.column(index).path for index in indices], use_threads=False)
        table = _with_texts(table, text, limits)
        plain = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(None), plain, compression="none", use_dictionary=False)
    except (OSError, ValueError, KeyError, IndexError, NotImplementedError, OverflowError, pa.ArrowException) as error:
        raise RequestError(400, f"body must be a Parquet file of numbers, but {shown(str(error), 200)}") from None
    finally:
        pa.default_memory_pool().release_unused()
    return plain.getvalue()


def _check_footer(content: bytes) -> None:
    """Raises `ValueError` unless the metadata at the end of a file has a size that a table within the limits can need."""
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise ValueError("it does not begin and end with PAR1")
    size = int.from_bytes(content[-8:-4], "little")
    if size > min(_FOOTER, len(content)):
        raise ValueError(f"its metadata may have {_FOOTER} bytes, but have {size}")


def _with_texts(table: pa.Table, text: str | None, limits: BodyLimits) -> pa.Table:
    """Returns the table with the texts of a column in place of their numbers in a dictionary.

    Raises:
        RequestError: if they are too large together.
    """
    index = -1 if text is None else table.schema.get_field_index(text)
    if index < 0 or not pa.types.is_dictionary(table.schema.field(index).type):
        return table
    column = table.column(index)
    size = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    _check_size(size, limits)
    return table.set_column(index, text, column.cast(pa.string()))


def _check_size(size: int, limits: BodyLimits) -> None:
    if size > limits.decoded_bytes:
        raise RequestError(
            413,
            f"a body may decompress to {limits.decoded_bytes} bytes, but would to {size}; send the rows in parts",
        )


def _check(
    metadata: pq.FileMetaData, content: bytes, names: tuple[Sequence[str], str | None], limits: BodyLimits
) -> list[int]:
    """Returns the numbers of the columns to read; raises `RequestError` if they are too large or no numbers.

    Args:
        metadata: Metadata of the file.
        content: The file.
        names: Columns of numbers, and a column that may hold text.
        limits: Limits of the table.
    """
    features, text = names
    limits.check(metadata.num_rows, metadata.num_columns)
    if metadata.num_row_groups > limits.rows:
        raise ValueError(f"it has {metadata.num_row_groups} row groups")
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    indices = [index for index, column in enumerate(columns) if column.path in (*features, text)]
    for index in indices:
        allowed = {*_NUMBERS, _TEXT} if columns[index].path == text else _NUMBERS
        if columns[index].physical_type not in allowed or columns[index].max_repetition_level:
            raise RequestError(
                400, f"column {shown(columns[index].path)} must hold numbers, but holds {columns[index].physical_type}"
            )
    decoded = 0
    for index in indices:
        values = 0
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(index)
            chunk_values, chunk_bytes = _pages(content, chunk, text=columns[index].physical_type == _TEXT)
            values, decoded = values + max(chunk_values, chunk.num_values), decoded + chunk_bytes
        limits.check(values, 0, values * len(indices))
    _check_size(decoded, limits)
    return indices


def _pages(content: bytes, chunk: pq.ColumnChunkMetaData, *, text: bool) -> tuple[int, int]:
    """Returns how many values and decompressed bytes the heads of the pages of a column promise.

    Texts must be encoded in a way that does not make them longer: each stands in a page, or in a dictionary.
    """
    start = min(
        offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset is not None and offset > 0
    )
    end, values, size = start + chunk.total_compressed_size, 0, 0
    if not 0 < start <= end <= len(content):
        raise ValueError("a column lies outside the file")
    while start < end:
        head = _Head(content, start)
        kind, decompressed, compressed = head.numbers[1], head.numbers[2], head.numbers[3]
        if min(decompressed, compressed, head.values) < 0:
            raise ValueError("a page has a negative size")
        if text and head.encoding not in _PLAIN_TEXTS:
            raise ValueError(f"texts must be plain or in a dictionary, but a page has the encoding {head.encoding}")
        values += head.values if kind in (0, 3) else 0
        size += decompressed
        start = head.end + compressed
    return values, size


class _Head:
    """Head of a page, in Thrift's compact protocol.

    Attributes:
        numbers: Whole numbers of the head by field: 1 the kind, 2 the decompressed and 3 the compressed size.
        values: Number of values of the page.
        encoding: Number of the encoding of the page; -1 if the head does not say one, or not just one.
        end: Position after the head.
    """

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self.end = start
        self.numbers: dict[int, int] = {}
        self.values = 0
        self._inner: dict[int, dict[int, int]] = {}
        self._struct(0)
        kind, parts = self.numbers[1], self._inner
        field, number = _ENCODINGS.get(kind, (0, 0))
        self.encoding = parts[field].get(number, -1) if [*parts] == [field] else -1

    def _byte(self) -> int:
        self.end += 1
        return self._content[self.end - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("a page has a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _struct(self, depth: int, parent: int = 0) -> None:
        if depth > _DEEPEST:
            raise ValueError("the head of a page is nested too deeply")
        field = 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0x0F
            number = self._value(kind, depth, field)
            if number is not None and depth == 1:
                self._inner.setdefault(parent, {})[field] = number
            if number is not None and depth == 0:
                self.numbers[field] = number
            elif number is not None and depth == 1 and field == 1:  # the first field of each kind of page
                self.values = number

    def _value(self, kind: int, depth: int, field: int) -> int | None:
        """Passes over a value, and returns it if it is a whole number."""
        if kind in (*_I16, *_I32, *_I64):
            return self._zigzag()
        if kind in _STRUCT:
            self._struct(depth + 1, field)
        elif kind in _BINARY:
            length = self._varint()
            self.end += length
        elif kind in (*_I8, *_DOUBLE):
            self.end += 1 if kind in _I8 else 8
        elif kind not in _BOOLEANS:
            raise ValueError(f"the head of a page has a field of type {kind}")
        return None
