"""The one rule from the text of a CSV cell to its value, used by training, by the scoring of files, and by the service."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tsad.arrays import Flags, Floats

EMPTY_TEXTS = (
    *("", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>"),
    *("NaN", "nan", "-NaN", "-nan", "NaT", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    *("NULL", "Null", "null", "None", "none"),
)
"""Cells that are empty, blanks around them left out, whatever the settings say.

These are the empty cells of pandas (`read_csv`) and the spellings `Null`, `none` and `NaT`, which databases and older exports
write. `nan` in any case and with a sign is a number that is not one, and therefore empty as well."""

_NUMBER = r"^[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:inf|infinity|nan(?:\([0-9a-z_]*\))?))$"
"""Texts that Arrow reads as a float64, rounded to the nearest one (Lemire, Number parsing at a gigabyte per second, 2021)."""


class CellFormat(NamedTuple):
    """Text format of the cells of a CSV file.

    Attributes:
        decimal: Decimal mark of numbers, `.` or `,`.
        empty: Texts that mean that there is no value, besides `EMPTY_TEXTS`; those that are numbers still come out as numbers
            if every cell is a number.
        thousands: Mark between groups of three digits; None if there is none.
        units: Texts that may follow a number and are left out.
    """

    decimal: str = "."
    empty: tuple[str, ...] = ()
    thousands: str | None = None
    units: tuple[str, ...] = ()


_PLAIN = CellFormat()


def typed_cells(texts: pa.ChunkedArray, cell_format: CellFormat = _PLAIN) -> pa.ChunkedArray:
    """Returns the cells of a column as whole numbers, numbers, truth values or texts, whichever comes first for all of them.

    Empty cells are null; NaN in a column of numbers is an empty cell too. Blanks around a cell are ignored. Truth values are
    `true` and `false` in any case, and 0 and 1 among them. Numbers are rounded to the nearest float64; whole numbers that fit
    int64 stay exact if no cell is empty.

    Args:
        texts: (T,) cells as they stand in the file, without the quotes around them.
        cell_format: Text format of the cells.

    Example:
        >>> typed_cells(pa.chunked_array([["1", " 2.5", "n/a"]])).to_pylist()
        [1.0, 2.5, None]
        >>> typed_cells(pa.chunked_array([["1.091,5", "n/k"]]), CellFormat(",", ("n/k",), ".")).to_pylist()
        [1091.5, None]
        >>> typed_cells(pa.chunked_array([["45 %", "7%"]]), CellFormat(units=("%",))).to_pylist()
        [45, 7]
    """
    decimal, empty, thousands, units = cell_format
    if decimal == "." and (numbers := _cast(texts, pa.float64())) is not None:
        return _whole(texts, numbers)
    cells = _without_empty(texts, empty)
    if units:
        names = "|".join(re.escape(unit) for unit in sorted(units, key=len, reverse=True))
        cells = pc.replace_substring_regex(cells, rf"^([-+]?[0-9][^a-zA-Z%]*?)\s*(?:{names})$", r"\1")
    if thousands:
        marks = r"[ \x{00a0}\x{202f}]" if thousands == " " else re.escape(thousands)
        grouped = rf"^[-+]?[1-9][0-9]?[0-9]?(?:{marks}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]*)?$"
        cells = pc.if_else(
            pc.match_substring_regex(cells, grouped), pc.replace_substring_regex(cells, marks, ""), cells
        )
    if decimal == ",":  # other numbers, and texts, stay as they are
        cells = pc.replace_substring_regex(cells, r"^([-+]?)(\d*)\.(\d+)$", r"\1\2?\3")
        cells = pc.replace_substring_regex(cells, r"^([-+]?\d*),(\d+)", r"\1.\2")
    if (numbers := _cast(cells, pa.float64())) is not None:
        return _whole(cells, numbers)
    truth = _cast(cells, pa.bool_())
    return cells if truth is None else truth


def numbers(column: "pd.Series[Any]") -> tuple[Floats, Flags]:
    """Returns the (T,) numbers of a column, NaN where a cell holds none, and (T,) True where it is not empty either.

    Texts are read cell by cell as `typed_cells` reads numbers with a decimal point, so a column in which one cell is a word
    still gives the numbers of all others. Moments, lists, and other types that a Parquet file may hold are no numbers.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy(np.float64, copy=True), np.zeros(len(column), bool)
    if pd.api.types.infer_dtype(column, skipna=True) == "boolean":  # with empty cells, or pandas would have said so
        column = column.map({True: 1.0, False: 0.0})
    if not pd.api.types.is_numeric_dtype(column):
        return _numbers_of_texts(column)
    values = pd.to_numeric(column, errors="coerce")
    return values.to_numpy(np.float64, na_value=np.nan, copy=True), (values.isna() & column.notna()).to_numpy()


def _numbers_of_texts(column: "pd.Series[Any]") -> tuple[Floats, Flags]:
    texts = column.astype("str").where(column.notna())
    cells = _without_empty(pa.chunked_array([pa.array(texts, pa.string(), from_pandas=True)]), ())
    is_number = pc.match_substring_regex(cells, _NUMBER)
    numeric = pc.if_else(is_number, cells, pa.scalar(None, pa.string())).cast(pa.float64())
    return numeric.to_numpy().copy(), pc.fill_null(pc.invert(is_number), fill_value=False).to_numpy()


def _without_empty(texts: pa.ChunkedArray, empty: Sequence[str]) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(trimmed, pa.array([*EMPTY_TEXTS, *empty])), pa.scalar(None, pa.string()), trimmed)


def _cast(cells: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return cells.cast(target)
    except pa.ArrowInvalid:
        return None


def _whole(digits: pa.ChunkedArray, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the numbers as int64 if all of them are written so and none is absent; large ones are then exact."""
    if numbers.null_count or not len(numbers) or not pc.all(pc.equal(pc.floor(numbers), numbers)).as_py():
        return numbers
    whole = _cast(digits, pa.int64())
    return numbers if whole is None else whole
