"""Columns that name machines or metrics, by whose names rows must be kept apart."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from tsad.data.io.answers import frequent_cells, tokens, word_set
from tsad.data.io.issues import Cost, Issues, settings_text
from tsad.errors import shown

_ENTITY_TOKENS = word_set(
    "machine machines host hostname device sensor unit entity node server instance station asset engine plant "
    "site meter turbine pump service pod vm customer vehicle battery bearing robot line channel location "
    "equipment"
)
_STATE_TOKENS = {"status", "state", "states", "mode", "flag", "level"}
_LEAST = 10
"""Rows of a machine, at least."""


def judge_entities(
    table: pd.DataFrame,
    times: "pd.Series[Any] | None",
    features: Sequence[str],
    issues: Issues,
    counters: Sequence[str] = (),
) -> None:
    """Raises the issue that a column names machines, or metrics, whose rows would be mixed; does nothing if none does.

    It does if rows of equal time differ in it, if times, or the numbers of a counter, begin anew wherever it changes, or if it
    holds words and is called so.

    Args:
        table: Columns of the file.
        times: (T,) times of the rows; None without times.
        features: Names of the columns that may name machines or metrics.
        issues: Receives the issue.
        counters: Names of columns that are no features because they count rows, cycles or the like.

    Raises:
        FatalIssueError: if a column names machines, since nothing about the rows can be examined before they are apart.
    """
    candidates = sorted(
        (name for name in features if _names_things(table[name])), key=lambda name: table[name].nunique()
    )
    repeated = 0 if times is None else int(times.duplicated().sum())
    for name in candidates:
        if times is not None and not Cost("", repeated, len(table)).is_cheap:
            left = int(pd.DataFrame({"time": times, "name": table[name]}).duplicated().sum())
            if Cost("", left, len(table)).is_cheap:
                _fail_at_equal_times(table, name, repeated, features, issues)
    for name in candidates:
        is_word = not pd.api.types.is_numeric_dtype(table[name])
        is_called_so = bool(tokens(name) & _ENTITY_TOKENS) and not tokens(name) & _STATE_TOKENS
        anew = next((counter for counter in counters if _counts_anew(table[name], table[counter])), None)
        if (is_word and is_called_so) or anew is not None or _begins_anew(table[name], times):
            reason = "" if anew is None else f", since {anew!r} counts anew wherever it changes"
            issues.fail(
                f"column {name!r} names machines, it seems ({shown(frequent_cells(table[name])[:4])}){reason}; as rows of one "
                f"they would be mixed",
                {"entity": name},
                f"data.ignore=[{name}] if all rows are of one machine, or name the features in data.features",
            )


def _fail_at_equal_times(
    table: pd.DataFrame, name: str, repeated: int, features: Sequence[str], issues: Issues
) -> NoReturn:
    """Raises the issue that rows of equal time are of several machines or metrics, with the setting that suits their order."""
    column, others = table[name], [other for other in features if other != name]
    machines: dict[str, Any] = {"entity": name}
    metrics: dict[str, Any] = {"pivot": {"name": name, "value": others[0]}} if len(others) == 1 else {}
    in_turn = bool((column != column.shift()).mean() > 0.5)
    meanings = ["machines with rows of their own", "metrics of one machine"]
    fixes = [machines, metrics]
    if metrics and in_turn:
        fixes.reverse()
        meanings.reverse()
    issues.fail(
        f"{repeated} rows have the time of another row, one for each of {column.nunique()} values of {name!r} "
        f"({shown(frequent_cells(column)[:4])}); the setting below takes them as {meanings[0]}",
        fixes[0],
        f"{settings_text(fixes[1])} if they are {meanings[1]}" if fixes[1] else "",
    )


def _begins_anew(column: "pd.Series[Any]", times: "pd.Series[Any] | None") -> bool:
    """Returns whether each cell stands in one block of rows, and times step back at the beginning of each."""
    changes = (column != column.shift()).to_numpy()[1:]
    if times is None or int(changes.sum()) != column.nunique() - 1:
        return False
    return bool((np.diff(times.to_numpy())[changes] < np.timedelta64(0)).all())


def _counts_anew(column: "pd.Series[Any]", counter: "pd.Series[Any]") -> bool:
    """Returns whether a counter steps back wherever a column of blocks of rows changes, and nowhere else."""
    changes = (column != column.shift()).to_numpy()[1:]
    if not pd.api.types.is_numeric_dtype(counter) or int(changes.sum()) != column.nunique() - 1:
        return False
    return bool(((np.diff(counter.to_numpy(float)) < 0) == changes).all())


def _names_things(column: "pd.Series[Any]") -> bool:
    """Returns whether a column holds a few words or whole numbers, each of them for many rows, and no empty cell."""
    if not (pd.api.types.is_string_dtype(column) or pd.api.types.is_numeric_dtype(column)):
        return False  # moments, lists and others
    distinct = column.nunique()
    if column.isna().any() or not 2 <= distinct <= len(column) / _LEAST or pd.api.types.is_bool_dtype(column):
        return False
    return not pd.api.types.is_float_dtype(column) or bool((column % 1 == 0).all())
