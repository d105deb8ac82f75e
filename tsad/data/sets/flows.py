"""Flows of CIC-DDoS2019: its CSV files in chunks of bounded size, with known faults removed."""

import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats, Integers
from tsad.errors import DataError, shown

NUMERIC = tuple(
    """Flow Duration,Total Fwd Packets,Total Backward Packets,Total Length of Fwd Packets,Total Length of Bwd Packets,\
Fwd Packet Length Max,Fwd Packet Length Min,Fwd Packet Length Mean,Fwd Packet Length Std,Bwd Packet Length Max,\
Bwd Packet Length Min,Bwd Packet Length Mean,Bwd Packet Length Std,Flow Bytes/s,Flow Packets/s,Flow IAT Mean,Flow IAT Std,\
Flow IAT Max,Flow IAT Min,Fwd IAT Total,Fwd IAT Mean,Fwd IAT Std,Fwd IAT Max,Fwd IAT Min,Bwd IAT Total,Bwd IAT Mean,\
Bwd IAT Std,Bwd IAT Max,Bwd IAT Min,Fwd PSH Flags,Bwd PSH Flags,Fwd URG Flags,Bwd URG Flags,Fwd Header Length,\
Bwd Header Length,Fwd Packets/s,Bwd Packets/s,Min Packet Length,Max Packet Length,Packet Length Mean,Packet Length Std,\
Packet Length Variance,FIN Flag Count,SYN Flag Count,RST Flag Count,PSH Flag Count,ACK Flag Count,URG Flag Count,\
CWE Flag Count,ECE Flag Count,Down/Up Ratio,Average Packet Size,Avg Fwd Segment Size,Avg Bwd Segment Size,\
Fwd Avg Bytes/Bulk,Fwd Avg Packets/Bulk,Fwd Avg Bulk Rate,Bwd Avg Bytes/Bulk,Bwd Avg Packets/Bulk,Bwd Avg Bulk Rate,\
Subflow Fwd Packets,Subflow Fwd Bytes,Subflow Bwd Packets,Subflow Bwd Bytes,Init_Win_bytes_forward,\
Init_Win_bytes_backward,act_data_pkt_fwd,min_seg_size_forward,Active Mean,Active Std,Active Max,Active Min,Idle Mean,\
Idle Std,Idle Max,Idle Min,Inbound""".split(",")  # noqa: SIM905 (77 names as a table)
)
"""Columns that measure a flow; no true value is below 0. `Unnamed: 0`, `Fwd Header Length.1` (a copy) and `SimillarHTTP` (0 mixed
with addresses) measure nothing, and identities are never values."""

CROWDS = ("Source IP", "Source Port", "Destination IP", "Destination Port")
"""Identities of which a bin only counts how many are distinct, and how evenly they occur."""

BUCKETS = 128
"""Counters of one of `CROWDS` in one bin; identities are counted by a hash of 7 bits, so memory does not grow with them."""

BENIGN = "BENIGN"
"""Label of flows without an attack."""

NEEDED = (*CROWDS, "Protocol", "Timestamp", *NUMERIC, "Label")
"""Columns that every published file has."""

BLOCK = 2 * 2**20
"""Bytes of a file that are parsed at once."""

_HEADER_BYTES = 60
"""Bytes of the longest header of a packet (TCP with all options); larger values are overflows."""
_PACKETS = {"Fwd Header Length": "Total Fwd Packets", "Bwd Header Length": "Total Backward Packets"}


@dataclass(frozen=True, eq=False)
class Flows:
    """N flows in the order of their file.

    Attributes:
        times: (N,) microseconds since 1970 of the first packet.
        labels: (N,) indices into `names`.
        names: Texts of the labels.
        protocols: (N,) protocol numbers; 6 is TCP, 17 is UDP.
        crowds: (N, 4) hashes of `CROWDS`, from 0 to `BUCKETS` - 1.
        values: (N, C) values of the selected columns, NaN where a cell is not credible.
    """

    times: Integers
    labels: Integers
    names: tuple[str, ...]
    protocols: Integers
    crowds: Integers
    values: Floats


def read_header(file: BinaryIO, path: Path) -> list[str]:
    """Returns the names of the columns without the blanks around them, and leaves the file at its first flow.

    A repeated name gets the suffix `.1`, as in pandas.

    Raises:
        DataError: if the first line does not name every column of the published files.
    """
    names: list[str] = []
    for cell in file.readline().decode("utf-8-sig", errors="replace").split(","):
        name = cell.strip().strip('"').strip()
        names.append(name if name not in names else f"{name}.{names.count(name)}")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(
            f"{path}: the first line must name the {len(NEEDED)} columns that are used of CIC-DDoS2019, but {len(missing)} "
            f"are missing, first {missing[0]!r}; it reads {shown(','.join(names))}; take the published file"
        )
    return names


def read_flows(path: Path, columns: Sequence[str], repairs: Counter[str]) -> Iterator[Flows]:
    """Yields the flows of a file, those of at most `BLOCK` bytes at once.

    Left out are a last line without an end, where the file was cut; lines with another number of cells than the header; and
    flows without a time or a label. NaN replaces empty and infinite cells (rates of flows that took no time), cells below 0
    (sentinels, overflows), and header lengths of more than 60 bytes a packet (overflows).

    Args:
        path: Path of one of the published CSV files.
        columns: Names of C columns of `NUMERIC`.
        repairs: Counter to which each repair is added under its description.

    Raises:
        DataError: if the file cannot be read, or a cell that must be a number or a time is neither.
    """
    names: list[str] = []
    try:
        with path.open("rb") as file:
            names += read_header(file, path)
            lines = _WholeLines(file)
            repairs[f"{path.name}: the last line has no end, since the file was cut there; left out"] += lines.cut
            for batch in _batches(lines, names, columns, path, repairs):
                yield _cleaned(batch, columns, repairs)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); see that it is there and may be read") from None
    except pa.ArrowInvalid as error:
        location = re.sub(
            r"In CSV column #(\d+): Row #(\d+)", lambda it: f"{names[int(it[1])]!r}, flow {it[2]}", str(error)
        )
        raise DataError(
            f"{path}: cannot be read as flows ({' '.join(location.split())}); correct or drop that line"
        ) from None


class _WholeLines(io.RawIOBase):
    """The rest of a file up to the end of its last complete line; `cut` says whether the file continues after it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, start = file, file.tell()
        size = file.seek(0, io.SEEK_END)
        end, tail = size, b""
        while end > start and b"\n" not in tail:
            end = max(start, end - 2**16)
            file.seek(end)
            tail = file.read(2**16)
        end += tail.rfind(b"\n") + 1
        file.seek(start)
        self.cut, self._left = end < size, end - start

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(content)
        return content


def _batches(
    lines: _WholeLines, names: list[str], columns: Sequence[str], path: Path, repairs: Counter[str]
) -> Iterator[pa.RecordBatch]:
    def leave_out(row: arrow.InvalidRow) -> str:
        repairs[f"{path.name}: lines do not have the {row.expected_columns} cells of the header; left out"] += 1
        return "skip"

    text, number = pa.dictionary(pa.int32(), pa.string()), pa.float64()
    measures = dict.fromkeys((*columns, *(_PACKETS[name] for name in columns if name in _PACKETS), "Protocol"), number)
    identities = {name: text if name.endswith("IP") else number for name in CROWDS}
    types = measures | identities | {"Timestamp": pa.timestamp("us"), "Label": text}
    try:
        yield from arrow.open_csv(
            lines,
            read_options=arrow.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            parse_options=arrow.ParseOptions(invalid_row_handler=leave_out),
            convert_options=arrow.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except pa.ArrowInvalid as error:
        if str(error) != "Empty CSV file":
            raise


def _cleaned(batch: pa.RecordBatch, columns: Sequence[str], repairs: Counter[str]) -> Flows:
    column = {name: batch.column(name) for name in batch.schema.names}
    names = np.array([str(name).strip() for name in column["Label"].dictionary.to_pylist()], dtype=object)
    complete = ~(column["Timestamp"].is_null().to_numpy(zero_copy_only=False) | _unnamed(column["Label"], names))
    repairs["flows have no time or no label; left out"] += int((~complete).sum())
    unique, indices = np.unique(names.astype(str), return_inverse=True)
    values = np.stack([_credible(name, column, repairs, complete) for name in columns], axis=1) if columns else None
    return Flows(
        times=column["Timestamp"].cast(pa.int64()).fill_null(0).to_numpy()[complete],
        labels=indices[column["Label"].indices.fill_null(0).to_numpy()[complete]].astype(np.int64),
        names=tuple(str(name) for name in unique),
        protocols=_whole(column["Protocol"])[complete],
        crowds=np.stack([_buckets(column[name]) for name in CROWDS], axis=1)[complete],
        values=np.empty((int(complete.sum()), 0)) if values is None else values,
    )


def _unnamed(labels: pa.DictionaryArray, names: NDArray[np.object_]) -> Flags:
    empty = np.append(names == "", True)  # the last is for a cell that is not in the dictionary
    unnamed: Flags = empty[labels.indices.fill_null(len(names)).to_numpy()]
    return unnamed


def _credible(name: str, column: dict[str, pa.Array], repairs: Counter[str], selected: Flags) -> Floats:
    values: Floats = column[name].to_numpy(zero_copy_only=False)[selected]
    unknown, negative = ~np.isfinite(values), values < 0
    wrong = {"empty or infinite": unknown, "below 0": negative & ~unknown}
    if name in _PACKETS:
        packets = column[_PACKETS[name]].to_numpy(zero_copy_only=False)[selected]
        wrong[f"more than {_HEADER_BYTES} bytes a packet"] = ~(unknown | negative) & (values > _HEADER_BYTES * packets)
    for what, cells in wrong.items():
        repairs[f"cells of {name!r} are {what}; not counted"] += int(cells.sum())
    return np.where(np.any(list(wrong.values()), axis=0), np.nan, values)


def _buckets(cells: pa.Array) -> Integers:
    if isinstance(cells, pa.DictionaryArray):
        hashes = [zlib.crc32(str(text).encode()) % BUCKETS for text in cells.dictionary.to_pylist()]
        return np.asarray(np.array([*hashes, 0])[cells.indices.fill_null(len(hashes)).to_numpy()])
    return (
        _whole(cells) * 40503 % 2**16
    ) >> 9  # Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4) to 7 bits


def _whole(cells: pa.Array) -> Integers:
    numbers: Floats = cells.to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, 0.0).astype(np.int64)
