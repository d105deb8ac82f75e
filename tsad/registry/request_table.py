"""Rows of requests to a logged model as a table, whatever MLflow hands on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.errors import DataError


def table_of(rows: Any, features: Sequence[str]) -> pd.DataFrame:
    """Returns rows as a table; raises `DataError` if they are none."""
    try:
        if isinstance(rows, Mapping) or (isinstance(rows, list) and rows and isinstance(rows[0], Mapping)):
            rows = pd.DataFrame(rows)
        if isinstance(rows, pd.DataFrame):
            return rows.apply(_without_truths) if "object" in map(str, rows.dtypes) else rows
        values = np.asarray(rows)
    except ValueError as error:
        raise DataError(f"input: must be a table, but {error}; send columns of one length") from None
    if values.ndim != 2 or values.shape[1] != len(features):
        raise DataError(
            f"input: an array must be (n, {len(features)}), in the order of {list(features)}, but is {values.shape}; send "
            f"named columns"
        )
    return pd.DataFrame(values, columns=list(features))


def _without_truths(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Returns a column in which truth values among other cells, as JSON has them, are 1 and 0."""
    if column.dtype != object:
        return column
    return column.map(lambda cell: float(cell) if isinstance(cell, bool | np.bool_) else cell)
