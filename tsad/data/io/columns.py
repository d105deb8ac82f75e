"""Roles of columns that nobody named: times, counters, labels and other answers, names of entities, mistaken for features."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Flags
from tsad.data.io.answers import is_answer, judge_answers, tokens, word_set
from tsad.data.io.cells import numbers
from tsad.data.io.issues import Issues
from tsad.data.io.time_columns import TIME_TOKENS, ascends, is_even, judge_times
from tsad.errors import shown

_COUNTER_TOKENS = word_set(
    "index idx cycle cycles counter no nr row rows id seq sequence unnamed sample samples rownum"
)
_LEAST_NAMED, _LEAST_UNNAMED = 10, 50
"""Rows that show that a column counts: fewer are needed if its name says so too."""


class Roles(NamedTuple):
    """Columns whose roles are set, and those that are features by default.

    Attributes:
        features: Names of the features.
        time: Names of the columns of times; nothing without times.
        label: Name of the column of labels; None for unlabeled rows.
    """

    features: tuple[str, ...]
    time: tuple[str, ...] = ()
    label: str | None = None


class Judged(NamedTuple):
    """Columns that are features only by default and are none, it seems.

    Attributes:
        times: Names of those that hold times.
        others: Names of the others: answers and counters.
    """

    times: tuple[str, ...]
    others: frozenset[str]


def judge_columns(table: pd.DataFrame, roles: Roles, issues: Issues) -> Judged:
    """Adds an issue about each column that is a feature only by default and is none, it seems; returns those columns.

    Args:
        table: Columns with cells as `read_columns` reads them.
        roles: Roles of the columns.
        issues: Receives the issues.
    """
    times = judge_times(table, roles.features, roles.time, issues)
    rest = [name for name in roles.features if name not in times]
    answers = [name for name in rest if is_answer(name, table[name])]
    judge_answers(table, answers, roles.label, issues)
    usual = [name for name in rest if name not in answers]
    counters = [name for name in usual if _is_counter(name, table[name])]
    counters += _counts_of_blocks(table, [name for name in usual if name not in counters])
    for name in counters:
        issues.add(
            f"column {name!r} counts the rows, it seems ({shown(table[name].head(3).tolist())} ...); as a feature it would grow "
            f"beyond all that was learned",
            {"ignore": [name]},
            f"data.time={name} with data.time_format=s, min, h or D if it holds times, or name the features in data.features",
        )
    return Judged(times, frozenset({*answers, *counters}))


def _is_counter(name: str, column: "pd.Series[Any]") -> bool:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = numbers(column)[0]
    if len(values) < _LEAST_NAMED or np.isnan(values).any() or not (np.diff(values) != 0).any():
        return False
    steps = np.diff(values) != 0
    if tokens(name) & _COUNTER_TOKENS:
        return is_even(values) or (ascends(values, 0.95) and bool(steps.mean() > 0.5))
    least = _LEAST_NAMED if tokens(name) & TIME_TOKENS else _LEAST_UNNAMED
    return len(values) >= least and is_even(values) and ascends(values, 0.99)


def _counts_of_blocks(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Returns the columns that count up by one step and begin anew wherever some other column changes, as cycles of units do."""
    counts: dict[str, Flags] = {}
    for name in names:
        if pd.api.types.is_integer_dtype(table[name]) and table[name].notna().all():
            steps = np.diff(table[name].to_numpy(np.int64))
            back = steps < 0
            if back.any() and not back.all() and len(set(steps[~back].tolist())) == 1 and steps[~back][0] > 0:
                counts[name] = back
    if not counts:
        return []
    changes = {name: (table[name] != table[name].shift()).to_numpy()[1:] for name in table.columns}
    return [
        name
        for name, back in counts.items()
        if any(np.array_equal(back, other) for block, other in changes.items() if block != name)
    ]
