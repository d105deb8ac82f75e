"""Columns as values of features and as labels, with an issue or an error for each cell that is neither."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.arrays import Flags, Floats
from tsad.data.io.cells import numbers
from tsad.data.io.issues import Cost, Issues
from tsad.data.io.text import GROUPED
from tsad.errors import DataError, shown

_LARGEST = float(np.finfo(np.float32).max)


Frame = pd.DataFrame
"""A table with a column for each feature."""


def to_values(
    table: pd.DataFrame,
    features: Sequence[str],
    source: str,
    empty: Sequence[str] = (),
    fill: Callable[[Floats], Floats] | None = None,
) -> Floats:
    """Returns the (T, F) float64 values of the named columns, in that order.

    Use it for rows to score, where the first fault is an error; `read_values` collects the issues of a file to train on.

    Args:
        table: Table with these columns, and possibly others; its index numbers the rows in messages. A column that is not
            named by text, such as 0, counts as its text, `"0"`.
        features: Names of the F columns.
        source: Name of the table, for errors.
        empty: Texts that mean that there is no value; those that are numbers are applied here.
        fill: Takes (T, F) values, NaN where a cell is empty, and returns them with values in place of NaN.

    Raises:
        DataError: if a column is absent or there twice, or a cell is no number, still empty after `fill`, or beyond float32.
    """
    names = [str(column) for column in table.columns]
    if names != list(table.columns):
        table = table.set_axis(names, axis=1)
    counts = Counter(names)
    for name in features:
        if (times := counts[name]) != 1:
            problem = f"is there {times} times; rename one" if times else f"is missing; it has {names}"
            raise DataError(f"{source}: column {name!r} {problem}")
    columns, empty_numbers = [], _numbers_among(empty)
    plain = None if empty_numbers else _plain(table, features)
    if plain is not None:
        return plain
    for name in features:
        values, text = numbers(table[name])
        if text.any():
            row = int(text.argmax())
            raise DataError(
                f"{source}: column {name!r} must hold numbers, but has {int(text.sum())} other cells, first at row "
                f"{table.index[row]} ({shown(table[name].iloc[row])}); correct them or leave the column out of the features"
            )
        if empty_numbers:
            values[np.isin(values, empty_numbers)] = np.nan
        columns.append(values)
    cells = np.stack(columns, axis=1) if columns else np.empty((len(table), 0))
    filled = cells if fill is None else fill(cells)
    advice = "give them a value" if fill is not None else "fill them (data.missing=ffill in an experiment)"
    for bad, what, remedy in (
        (np.isnan(filled), "empty", f"{advice} or drop their rows"),
        (np.abs(filled) > _LARGEST, "infinite", "replace them or drop their rows"),
    ):
        if bad.any():
            column = int(bad.any(axis=0).argmax())
            row = table.index[int(bad[:, column].argmax())]
            raise DataError(
                f"{source}: column {features[column]!r} has {int(bad[:, column].sum())} {what} cells, "
                f"first at row {row}; {remedy}"
            )
    return filled


def _plain(table: pd.DataFrame, features: Sequence[str]) -> Floats | None:
    """Returns the values at once if all columns are float64 and every cell is a finite number; None otherwise."""
    values = (table if tuple(table.columns) == tuple(features) else table[list(features)]).to_numpy()
    plain = values.dtype == np.float64 and (np.abs(values) <= _LARGEST).all()
    return np.ascontiguousarray(values) if plain else None


def read_values(table: pd.DataFrame, features: Sequence[str], empty: Sequence[str], issues: Issues) -> Floats:
    """Returns the (T, F) values of the named columns, NaN where a cell is empty, 0 where an issue was added about it.

    Args:
        table: Table with these columns; its index numbers the rows in messages.
        features: Names of the F columns.
        empty: Texts that mean that there is no value; those that are numbers are applied here.
        issues: Receives an issue for each column with cells that are no numbers, or too large for float32.
    """
    values = np.empty((len(table), len(features)))
    empty_numbers = _numbers_among(empty)
    for column, name in enumerate(features):
        cells, text = numbers(table[name])
        if empty_numbers:
            cells[np.isin(cells, empty_numbers)] = np.nan
        infinite = np.abs(cells) > _LARGEST
        if text.any():
            _judge_text(table[name], text, issues)
        if infinite.any():
            row, distinct = int(infinite.argmax()), np.unique(cells[infinite])
            issues.add(
                f"column {name!r} has {int(infinite.sum())} infinite cells, first at row {table.index[row]}",
                {"empty": [str(cell) for cell in distinct], "missing": "ffill"} if len(distinct) <= 3 else {},
                f"replace them or drop their rows, or data.ignore=[{name}] to leave the column out",
                Cost("cells emptied and filled", int(infinite.sum()), len(table)),
            )
        values[:, column] = np.where(infinite | text, 0.0, cells)
    return values


def _numbers_among(empty: Sequence[str]) -> list[float]:
    return [float(text) for text in empty if _is_float(text)]


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _judge_text(column: "pd.Series[Any]", text: Flags, issues: Issues) -> None:
    """Adds an issue about a column with texts; its fix depends on whether they are numbers of another form, or words."""
    cells = column[text].astype("str").str.strip()
    row, words = int(text.argmax()), cells.unique().tolist()
    fix, advice, cost = _text_fix(column, cells, words)
    issues.add(
        f"column {column.name!r} must hold numbers, but has {len(cells)} other cells, first at row {column.index[row]} "
        f"({shown(column.iloc[row])})",
        fix,
        advice,
        cost,
    )


_MOST = 0.5
"""Fraction of anomalous rows above which labels are probably read the wrong way round."""
_EUROPEAN = r"[-+]?\d{1,3}(?:\.\d{3})*,\d+"
_NUMBER_WITH_COMMA = r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?"
_WORDS = 20


def _thousands_fix(column: "pd.Series[Any]", cells: "pd.Series[str]") -> tuple[Mapping[str, Any], str, None] | None:
    """Returns the settings and the advice for texts that are all numbers in groups of three digits; None for others."""
    plain = column[~column.index.isin(cells.index)].dropna().astype("str")
    for mark in (",", " ", "'"):
        grouped = GROUPED.format(mark="[ \u00a0\u202f]" if mark == " " else mark)
        pattern = rf"{grouped}(?:\.\d*)?"
        if cells.str.fullmatch(pattern).all():
            small = plain.str.fullmatch(r"[-+]?\d{1,3}(?:\.\d*)?")
            if (
                mark == ","
                and not (len(plain) and small.all())
                and not cells.str.contains(r"\.|,\d+,", regex=True).any()
            ):
                return (
                    {},
                    "data.thousands=, if the comma separates thousands, or data.decimal=, if it is a decimal mark",
                    None,
                )
            return (
                {"thousands": mark},
                "data.decimal=, if it is a decimal mark" if mark == "," else "correct them",
                None,
            )
    return None


def _text_fix(
    column: "pd.Series[Any]", cells: "pd.Series[str]", words: Sequence[str]
) -> tuple[Mapping[str, Any], str, Cost | None]:
    """Returns the settings that make numbers of texts, further advice, and the cost of the settings."""
    name = column.name
    grouped = _thousands_fix(column, cells)
    if grouped is not None:
        return grouped
    if cells.str.fullmatch(_NUMBER_WITH_COMMA).all():
        return {"decimal": ","}, "correct them", None
    if cells.str.fullmatch(_EUROPEAN).all():
        return {"decimal": ",", "thousands": "."}, "correct them", None
    units = cells.str.extract(r"^[-+]?[0-9][0-9.,]*(?:[eE][-+]?\d+)?\s*([^\d\s.,+-][^\d]*)$")[0]
    if units.notna().all() and (units == units.iloc[0]).all():
        return {"units": [str(units.iloc[0]).strip()]}, "correct them", None
    if len(cells) >= len(column) / 2 and _has_information(cells):
        advice = (
            f"data.time={name} with data.time_format if it holds times, or data.ignore=[{name}] to leave the column out"
        )
        return {}, f"correct them, or {advice}", None
    if len(cells) >= len(column) / 2:
        states = f"data.states={{{name}: one_hot}} if its {len(words)} words are states" if len(words) <= _WORDS else ""
        return {"ignore": [name]}, states or "correct them", None
    cost = Cost("cells emptied and filled", len(cells), len(column))
    if len(words) <= _WORDS:
        return (
            {"empty": [str(word) for word in words], "missing": "ffill"},
            f"correct them, or data.ignore=[{name}]",
            cost,
        )
    return {}, f"correct them, or data.ignore=[{name}] to leave the column out", None


def _has_information(cells: "pd.Series[str]") -> bool:
    """Returns whether texts look like numbers or moments of an unknown form: most have digits, and most are distinct."""
    shaped = cells.str.contains(r"^[\[(+\u2212$\u20ac\u00a3-]?\s*\d|\d:\d|\d\d\d\d", regex=True)
    return bool(shaped.mean() > 0.9 and cells.nunique() > 0.5 * len(cells))


def read_labels(
    column: "pd.Series[Any]",
    normal: str | None,
    issues: Issues,
    propose: Callable[["pd.Series[Any]"], Mapping[str, Any]] | None = None,
) -> Flags | None:
    """Returns (T,) True where a row is anomalous, or None after adding an issue about cells that are no labels.

    Args:
        column: Column of 0 and 1, or of true and false; of any texts, if `normal` is given.
        normal: Text of a normal row; every other text is an anomaly.
        issues: Receives the issue.
        propose: Takes the column, and returns the setting `normal` that it needs; the most frequent cell without it.
    """
    empty, words = column.isna().to_numpy(), column.astype("str")
    if normal is not None:
        wrong, anomalous = empty, ~_equal(column, normal)
    else:
        cells = numbers(column)[0]
        wrong, anomalous = ~np.isin(cells, (0, 1)), cells == 1
    if not wrong.any():
        if normal is not None and anomalous.all():
            issues.add(
                f"label column {column.name!r} has no cell {normal!r}, so that no row is normal; it has "
                f"{shown(words.unique()[:5].tolist())}",
                {"normal": str(words.mode()[0])} if propose is None else propose(column),
            )
        elif anomalous.mean() > _MOST:
            issues.add_repair(
                f"{int(anomalous.sum())} of {len(anomalous)} rows are anomalous by the label column {column.name!r}; see that "
                f"normal rows are the others"
            )
        return anomalous
    row, others = int(wrong.argmax()), column[wrong & ~empty]
    issues.add(
        f"label column {column.name!r} must hold {'a word' if normal else '0 or 1'}, but has {int(wrong.sum())} other cells, "
        f"first at row {column.index[row]} ({shown(column.iloc[row])})",
        ({"normal": str(words.mode()[0])} if propose is None else propose(column))
        if len(others) and not empty.any()
        else None,
        "correct them",
    )
    return None


def _equal(column: "pd.Series[Any]", normal: str) -> Flags:
    if pd.api.types.is_bool_dtype(column):
        return np.asarray(column.astype("str").str.lower() == {"1": "true", "0": "false"}.get(normal, normal.lower()))
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column == float(normal)) if _is_float(normal) else np.zeros(len(column), bool)
    return np.asarray(column.astype("str").str.strip() == normal)
