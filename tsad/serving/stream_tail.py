"""The last rows that a stream took, on disk: with them another version of the model takes the stream over."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Times, Values
from tsad.series import Series

TAIL = "tail.bin"
"""Name of the file in the folder of a stream."""

_LEAST, _MOST, _CELLS = 256, 4096, 400_000
_NO_TIME = int(np.iinfo(np.int64).min)


class StreamTail:
    """A file of records of equal size: number, time and values of a row, with newer records of a row after older ones.

    Rows are appended before the state of the stream is saved, so the file holds all rows of the state, and perhaps some that
    were never taken. What a kill has cut off is overwritten by the next rows.

    Args:
        folder: Folder of the stream.
        features: Number of features.
    """

    def __init__(self, folder: Path, features: int) -> None:
        self._path = folder / TAIL
        self._type = np.dtype([("row", "<i8"), ("time", "<i8"), ("single", "<i8"), ("values", "<f8", (features,))])

    def append(self, first: int, values: Values, times: Times | None, context: int) -> None:
        """Appends (n, F) rows, of which the first has this number, and forgets the oldest ones beyond what is kept.

        Args:
            first: Number of the first row.
            values: (n, F) values.
            times: (n,) times, None if the rows have none.
            context: Rows that the model needs around a row; twice as many are kept, 256 to 4096 of narrow rows.
        """
        keep = rows_kept(context, values.shape[1])
        records = np.zeros(len(values), self._type)
        records["row"] = first + np.arange(len(values))
        records["time"] = _NO_TIME if times is None else times.astype("datetime64[ns]").view(np.int64)
        records["single"] = values.dtype == np.float32
        records["values"] = values
        size = self._path.stat().st_size if self._path.exists() else 0
        whole = size - size % self._type.itemsize
        if whole + records.nbytes > 2 * keep * self._type.itemsize:
            self._rewrite(np.concatenate([self._read(), records])[-keep:])
            return
        with self._path.open("r+b" if size else "wb") as file:
            file.seek(whole)
            file.write(records.tobytes())
            file.truncate()

    def rows(self, taken: int, features: Sequence[str]) -> Series:
        """Returns the rows before row number `taken`, as many as there are without a gap; they have times if all have."""
        records = self._read()
        newest: dict[int, int] = {int(row): position for position, row in enumerate(records["row"])}
        first = taken
        while first - 1 in newest:
            first -= 1
        records = records[[newest[row] for row in range(first, taken)]]
        values: NDArray[np.floating] = records["values"]
        if len(records) and records["single"].all():
            values = values.astype(np.float32)
        is_timed = len(records) > 0 and bool((records["time"] != _NO_TIME).all())
        times = records["time"].astype("datetime64[ns]") if is_timed else None
        return Series(values, tuple(features), times=times)

    def _read(self) -> NDArray[np.void]:
        content = self._path.read_bytes() if self._path.exists() else b""
        return np.frombuffer(content[: len(content) - len(content) % self._type.itemsize], self._type)

    def _rewrite(self, records: NDArray[np.void]) -> None:
        whole = self._path.with_name(f".{TAIL}")
        whole.write_bytes(records.tobytes())
        whole.replace(self._path)


def rows_kept(context: int, features: int) -> int:
    """Returns how many rows are kept for a model that needs so many around each row.

    >>> rows_kept(10, 6), rows_kept(1000, 6), rows_kept(5000, 6), rows_kept(10, 10_000)
    (256, 2000, 4096, 40)
    """
    return max(1, min(max(_LEAST, 2 * context), _MOST, _CELLS // features))
