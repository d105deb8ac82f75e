"""Cells as numbers: values and labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsad.arrays import Floats
from tsad.data.io.cells import numbers
from tsad.data.io.issues import Issues
from tsad.errors import DataError, shown

_LARGEST = float(np.finfo(np.float32).max)


def to_values(
    table: pd.DataFrame,
    features: Sequence[str],
    source: str,
    empty: Sequence[str] = (),
    fill: Callable[[Floats], Floats] | None = None,
) -> NDArray[np.float32]:
    """Returns the (T, F) float32 values of the named columns, in that order.

    Args:
        table: Has them, and may have others; its index numbers the rows in messages.
        features: Their names.
        source: Of the table, for errors.
        empty: Numbers that mean nothing, as they are written.
        fill: Gets (T, F) values, NaN where a cell is empty, and returns them with values there.

    Raises:
        DataError: if a column is absent, or a cell is text, empty after all, or infinite.
    """
    columns, nothing = [], _meaningless(empty)
    plain = None if nothing else _plain(table, features)
    if plain is not None:
        return plain
    for name in features:
        if name not in table.columns:
            raise DataError(f"{source}: column {name!r} is missing; it has {[str(column) for column in table.columns]}")
        found, text = numbers(table[name])
        if text.any():
            row = int(text.argmax())
            raise DataError(
                f"{source}: column {name!r} must hold numbers, but has {int(text.sum())} other cells, first at row "
                f"{table.index[row]} ({shown(table[name].iloc[row])}); correct them or leave the column out of the features"
            )
        if nothing:
            found[np.isin(found, nothing)] = np.nan
        columns.append(found)
    cells = np.stack(columns, axis=1) if columns else np.empty((len(table), 0))
    values = cells if fill is None else fill(cells)
    way = "give them a value" if fill is not None else "fill them (data.missing=ffill in an experiment)"
    for bad, what, remedy in (
        (np.isnan(values), "empty", f"{way} or drop their rows"),
        (np.abs(values) > _LARGEST, "infinite", "replace them or drop their rows"),
    ):
        if bad.any():
            place = int(bad.any(axis=0).argmax())
            row = table.index[int(bad[:, place].argmax())]
            raise DataError(
                f"{source}: column {features[place]!r} has {int(bad[:, place].sum())} {what} cells, first at row {row}; {remedy}"
            )
    return values.astype(np.float32)


def _plain(table: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float32] | None:
    """Returns what `to_values` does, in one go, if the columns are float64 and every cell is a number; None otherwise."""
    if not set(features) <= set(table.columns):
        return None
    values = (table if tuple(table.columns) == tuple(features) else table[list(features)]).to_numpy()
    plain = values.dtype == np.float64 and (np.abs(values) <= _LARGEST).all()
    return values.astype(np.float32, order="C") if plain else None


def read_values(table: pd.DataFrame, features: Sequence[str], empty: Sequence[str], issues: Issues) -> Floats:
    """Returns the (T, F) values of the named columns, NaN where a cell is empty, 0 where it was noted as wrong.

    Args:
        table: Has the columns; its index numbers the rows in messages.
        features: Their names.
        empty: Cells that mean nothing, as they are written; those that are numbers are looked for here.
        issues: Gets a problem for each column with cells that are no numbers, or too large for float32.
    """
    values = np.empty((len(table), len(features)))
    nothing = _meaningless(empty)
    for place, name in enumerate(features):
        found, text = numbers(table[name])
        if nothing:
            found[np.isin(found, nothing)] = np.nan
        infinite = np.abs(found) > _LARGEST
        if text.any():
            _judge_text(table[name], text, issues)
        if infinite.any():
            row, cells = int(infinite.argmax()), np.unique(found[infinite])
            issues.add(
                f"column {name!r} has {int(infinite.sum())} infinite cells, first at row {table.index[row]}",
                {"empty": [str(cell) for cell in cells], "missing": "ffill"} if len(cells) <= 3 else {"ignore": [name]},
                "replace them or drop their rows",
            )
        values[:, place] = np.where(infinite | text, 0.0, found)
    return values


def _meaningless(empty: Sequence[str]) -> list[float]:
    return [float(text) for text in empty if _is_float(text)]


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _judge_text(column: "pd.Series[Any]", text: NDArray[np.bool_], issues: Issues) -> None:
    """Notes a column with texts, and whether they are moments, a few words for nothing, or what the column is made of."""
    cells = column[text].astype("str")
    row, words = int(text.argmax()), cells.unique()
    fix: Mapping[str, Any] = {"ignore": [column.name]}
    if _are_moments(column, cells):
        fix = {"time": column.name}
    elif cells.str.fullmatch(r"[-+]?\d*,\d+").all():
        fix = {"decimal": ","}
    elif len(cells) < len(column) / 2 and len(words) <= 3:
        fix = {"empty": [str(word) for word in words], "missing": "ffill"}
    issues.add(
        f"column {column.name!r} must hold numbers, but has {len(cells)} other cells, first at row {column.index[row]} "
        f"({shown(column.iloc[row])})",
        fix,
        "correct them",
    )


def _are_moments(column: "pd.Series[Any]", cells: "pd.Series[str]") -> bool:
    some = cells.head(20)
    dated = some.str.match(r"\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{4}").all()
    return pd.api.types.is_datetime64_any_dtype(column) or (len(cells) == len(column) and bool(dated))


def read_labels(column: "pd.Series[Any]", normal: str | None, issues: Issues) -> NDArray[np.bool_] | None:
    """Returns (T,) True where a row is anomalous, or None after noting cells that do not say so.

    Args:
        column: Holds 0 and 1, true and false; or anything, if `normal` is given.
        normal: What stands in the rows that are normal; every other text is an anomaly.
        issues: Gets the problem.
    """
    empty, words = column.isna().to_numpy(), column.astype("str")
    if normal is not None:
        wrong, anomalous = empty, ~_equal(column, normal)
    else:
        known = numbers(column)[0]
        wrong, anomalous = ~np.isin(known, (0, 1)), known == 1
    if not wrong.any():
        if normal is not None and anomalous.all():
            issues.add(
                f"label column {column.name!r} has no cell {normal!r}, so that no row is normal; it has "
                f"{shown(words.unique()[:5].tolist())}",
                {"normal": str(words.mode()[0])},
            )
        return anomalous
    row, others = int(wrong.argmax()), column[wrong & ~empty]
    issues.add(
        f"label column {column.name!r} must hold {'a word' if normal else '0 or 1'}, but has {int(wrong.sum())} other cells, "
        f"first at row {column.index[row]} ({shown(column.iloc[row])})",
        {"normal": str(words.mode()[0])} if len(others) and not empty.any() else None,
        "correct them",
    )
    return None


def _equal(column: "pd.Series[Any]", normal: str) -> NDArray[np.bool_]:
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column == float(normal)) if _is_float(normal) else np.zeros(len(column), bool)
    return np.asarray(column.astype("str").str.strip() == normal)
