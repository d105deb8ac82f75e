"""Columns that name machines or metrics, by whose names rows must be kept apart."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple, NoReturn

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
_MOMENT = "\0moment"
_IN_TURN = 0.5
"""Fraction of the rows in which a column changes, above which its values stand in turn and not in blocks."""
_LEAST = 10
"""Rows of a machine, at least."""


class Keys(NamedTuple):
    """Times and machine by which rows are told apart.

    Attributes:
        times: (T,) times of the rows; None without times.
        entity: Name of the column of machines; None if none is named.
    """

    times: "pd.Series[Any] | None"
    entity: str | None = None


def judge_entities(
    table: pd.DataFrame, keys: Keys, features: Sequence[str], issues: Issues, counters: Sequence[str] = ()
) -> None:
    """Raises the issue that columns name machines, or metrics, whose rows would be mixed; does nothing if none does.

    They do if rows of equal time, and of the named machine, differ in one or two of them; a column does also if times, or the
    numbers of a counter, begin anew wherever it changes, or if it holds words and is called so.

    Args:
        table: Columns of the file.
        keys: Times of the rows, and the column of machines if it is named.
        features: Names of the columns that may name machines or metrics.
        issues: Receives the issue.
        counters: Names of columns that are no features because they count rows, cycles or the like.

    Raises:
        FatalIssueError: if a column names machines, since nothing about the rows can be examined before they are apart.
    """
    candidates = sorted(
        (name for name in features if _names_things(table[name])), key=lambda name: table[name].nunique()
    )
    if keys.times is not None:
        _judge_equal_times(table, keys.times, keys.entity, candidates, features, issues)
    if keys.entity is not None:
        return
    for name in candidates:
        is_word = not pd.api.types.is_numeric_dtype(table[name])
        anew = next((counter for counter in counters if _counts_anew(table[name], table[counter])), None)
        if (is_word and _is_called_machine(name)) or anew is not None or _begins_anew(table[name], keys.times):
            reason = "" if anew is None else f", since {anew!r} counts anew wherever it changes"
            issues.fail(
                f"column {name!r} names machines, it seems ({shown(frequent_cells(table[name])[:4])}){reason}; as rows of one "
                f"they would be mixed",
                {"entity": name},
                f"data.ignore=[{name}] if all rows are of one machine, or name the features in data.features",
            )


def _is_called_machine(name: str) -> bool:
    return bool(tokens(name) & _ENTITY_TOKENS) and not tokens(name) & _STATE_TOKENS


def _judge_equal_times(
    table: pd.DataFrame,
    times: "pd.Series[Any]",
    entity: str | None,
    candidates: Sequence[str],
    features: Sequence[str],
    issues: Issues,
) -> None:
    """Raises the issue that rows of equal time, and machine, are of several machines or metrics, if columns tell them apart."""
    keyed = table[[*candidates, *([] if entity is None else [entity])]].assign(**{_MOMENT: times})
    always = [_MOMENT, *([] if entity is None else [entity])]

    def repeated(names: Sequence[str]) -> Cost:
        return Cost("", int(keyed.duplicated([*always, *names]).sum()), len(keyed))

    if repeated(()).is_cheap:
        return
    words = [name for name in candidates if not pd.api.types.is_numeric_dtype(table[name])]
    for names in (*((name,) for name in candidates), *(combinations(words, 2) if entity is None else ())):
        if repeated(names).is_cheap:
            _fail_at_equal_times(table, names, entity, repeated(()).count, features, issues)


def _fail_at_equal_times(
    table: pd.DataFrame,
    names: Sequence[str],
    entity: str | None,
    repeated: int,
    features: Sequence[str],
    issues: Issues,
) -> NoReturn:
    """Raises the issue that rows of equal time are of several machines or metrics, with the setting that suits their order."""
    metric = max(names, key=lambda name: (not _is_called_machine(name), _changes(table, name)))
    machine = next((name for name in names if name != metric), entity)
    others = [name for name in features if name not in names]
    values = [name for name in others if pd.api.types.is_numeric_dtype(table[name])]
    readings: list[tuple[str, dict[str, Any]]] = []
    if len(values) == 1:
        words = [name for name in others if name not in values]
        fix: dict[str, Any] = {"entity": machine} if machine not in {None, entity} else {}
        fix |= {"pivot": {"name": metric, "value": values[0]}} | ({"ignore": words} if words else {})
        readings.append(("metrics of one machine" if machine is None else "metrics of machines", fix))
    if machine is None:
        readings.append(("machines with rows of their own", {"entity": metric}))
        if _changes(table, metric) <= _IN_TURN:
            readings.reverse()
    text = (
        f"{repeated} rows have the time of another row{'' if entity is None else ' of their machine'}, one for each of "
        f"{len(table[list(names)].drop_duplicates())} values of {' and '.join(map(repr, names))} "
        f"({shown(frequent_cells(table[metric])[:4])})"
    )
    if not readings:
        issues.fail(
            text, advice="name the column of machines in data.entity, and keep one column of values for data.pivot"
        )
    (meaning, fix), *more = readings
    advice = "".join(f"{settings_text(other)} if they are {word}" for word, other in more)
    issues.fail(f"{text}; the setting below takes them as {meaning}", fix, advice)


def _changes(table: pd.DataFrame, name: str) -> float:
    """Returns the fraction of the rows in which a column differs from the row above."""
    return float((table[name] != table[name].shift()).mean())


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
