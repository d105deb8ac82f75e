"""CSV bodies read as the training rows of the served detector were: separators, marks, times, empty cells, gaps."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tsad.data.io.read_options import ReadOptions
from tsad.data.io.row_chunks import RowChunk, gap_restarts, row_chunks
from tsad.data.io.table_files import TableFile, open_table
from tsad.errors import DataError
from tsad.series import Series
from tsad.serving.requests import Rows, few


def read_csv_body(content: bytes, features: Sequence[str], read_options: ReadOptions, most: int) -> Rows:
    """Returns the rows of a CSV body; those without any cell are left out, as in training.

    Rows have to come in the order of their times, whatever was sorted, merged or inserted in training.

    Args:
        content: Bytes of the body.
        features: Names of the features of the detector.
        read_options: How the training rows were read. Times are optional: without their columns the rows are consecutive.
        most: Largest number of rows.

    Raises:
        DataError: naming row and column of whatever is no row of these features, or of times that do not ascend.
        RequestError: if there are more rows than `most`.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "body.csv"
        path.write_bytes(content)
        try:
            table = open_table(path, read_options)
            if not set(read_options.time_columns) <= set(table.names):
                read_options = read_options.model_copy(update={"time": None})
            chunk = next(row_chunks(table, table.chunks(most + 1), features, read_options), None)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "body")) from None
        return _rows(table, chunk, features, read_options, most)


def _rows(
    table: TableFile, chunk: RowChunk | None, features: Sequence[str], read_options: ReadOptions, most: int
) -> Rows:
    if chunk is None:
        return Rows(pd.DataFrame(columns=list(features), dtype=float))
    frame = pd.DataFrame(chunk.values, columns=list(features))
    frame = frame.assign(**{name: None for name in table.names if name not in {*features, *read_options.time_columns}})
    if chunk.times is None:
        return few(Rows(frame), most)
    cells = zip(*(chunk.chunk.texts(name) for name in read_options.time_columns), strict=True)
    texts = [" ".join(parts) for parts, blank in zip(cells, chunk.blank, strict=True) if not blank]
    boundaries = tuple(np.flatnonzero(gap_restarts(chunk.times, None, read_options)).tolist())
    series = Series(chunk.values, tuple(features), boundaries=boundaries, times=chunk.times)
    return few(Rows(frame, texts, series), most)
