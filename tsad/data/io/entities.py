"""Columns that name machines or metrics, by whose names rows must be kept apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.data.io.answers import frequent_cells, tokens
from tsad.data.io.issues import Cost, Issues, settings_text
from tsad.errors import shown

_ENTITY_TOKENS = {
    *(
        "machine",
        "machines",
        "host",
        "hostname",
        "device",
        "sensor",
        "unit",
        "entity",
        "node",
        "server",
        "instance",
        "station",
    ),
    *(
        "asset",
        "engine",
        "plant",
        "site",
        "meter",
        "turbine",
        "pump",
        "service",
        "pod",
        "vm",
        "customer",
        "vehicle",
        "battery",
    ),
    *("bearing", "robot", "line", "channel", "location", "equipment"),
}
_STATE_TOKENS = {"status", "state", "states", "mode", "flag", "level"}
_LEAST = 10
"""Rows of a machine, at least."""


def judge_entities(
    table: pd.DataFrame, times: "pd.Series[Any] | None", features: Sequence[str], issues: Issues
) -> bool:
    """Adds an issue if a column names machines; returns whether it did.

    A column of words does if it is called so; one of whole numbers only if times begin anew wherever it changes.

    Args:
        table: Columns of the file.
        times: (T,) times of the rows; None without times.
        features: Names of the columns that may name machines.
        issues: Receives the issue.
    """
    for name in features:
        column = table[name]
        if not tokens(name) & _ENTITY_TOKENS or tokens(name) & _STATE_TOKENS or not _names_things(column):
            continue
        if pd.api.types.is_numeric_dtype(column) and not _begins_anew(column, times):
            continue
        issues.add(
            f"column {name!r} names machines, it seems ({shown(frequent_cells(column)[:4])}); as rows of one they would be mixed",
            {"entity": name},
            f"data.ignore=[{name}] if all rows are of one machine, or name the features in data.features",
        )
        return True
    return False


def _begins_anew(column: "pd.Series[Any]", times: "pd.Series[Any] | None") -> bool:
    """Returns whether each number stands in one block of rows, and times step back at the beginning of each."""
    changes = (column != column.shift()).to_numpy()[1:]
    if times is None or int(changes.sum()) != column.nunique() - 1:
        return False
    return bool((np.diff(times.to_numpy())[changes] < np.timedelta64(0)).all())


def _names_things(column: "pd.Series[Any]") -> bool:
    """Returns whether a column holds a few words or whole numbers, each of them for many rows, and no empty cell."""
    distinct = column.nunique()
    if column.isna().any() or not 2 <= distinct <= len(column) / _LEAST or pd.api.types.is_bool_dtype(column):
        return False
    return not pd.api.types.is_float_dtype(column) or bool((column % 1 == 0).all())


def judge_equal_times(table: pd.DataFrame, time: "pd.Series[Any]", features: Sequence[str], issues: Issues) -> bool:
    """Adds an issue if rows of equal time differ in a column whose cells name machines or metrics; returns whether it did.

    Args:
        table: Columns of the file.
        time: (T,) times of the rows.
        features: Names of the columns that may name machines or metrics.
        issues: Receives the issue.
    """
    repeated = int(time.duplicated().sum())
    if Cost("rows", repeated, len(table)).is_cheap:
        return False
    for name in sorted(features, key=lambda name: table[name].nunique()):
        column = table[name]
        if not _names_things(column):
            continue
        distinct = column.nunique()
        left = int(pd.DataFrame({"time": time, "name": column}).duplicated().sum())
        if not Cost("rows", left, len(table)).is_cheap:
            continue
        others = [other for other in features if other != name]
        entity: dict[str, Any] = {"entity": name}
        pivot: dict[str, Any] = {"pivot": {"name": name, "value": others[0]}} if len(others) == 1 else {}
        in_turn = bool(pivot) and bool((column != column.shift()).mean() > 0.5)
        first, other = (pivot, entity) if in_turn else (entity, pivot)
        meaning = {"entity": "machines with rows of their own", "pivot": "metrics of one machine"}
        issues.add(
            f"{repeated} rows have the time of another row, one for each of {distinct} values of {name!r} "
            f"({shown(frequent_cells(column)[:4])}); the setting below takes them as {meaning[next(iter(first))]}",
            first,
            f"{settings_text(other)} if they are {meaning[next(iter(other))]}" if other else "",
        )
        return True
    return False
