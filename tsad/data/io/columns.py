"""Roles of columns that nobody named: times, counters, labels and other answers, names of entities, mistaken for features."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Floats
from tsad.data.io.answers import is_answer, judge_answers, tokens, word_set
from tsad.data.io.cells import numbers
from tsad.data.io.issues import Issues
from tsad.data.io.time_formats import EXCEL, matching_formats, number_format
from tsad.data.io.times import CALENDAR, calendar_part
from tsad.errors import shown

_TIME_TOKENS = word_set(
    "time times timestamp timestamps timestep date dates datetime ts epoch clock moment month year day hour "
    "minute second millis unix utc created recorded observed elapsed zeit datum uhrzeit zeitstempel fecha hora "
    "heure tiempo temps serial"
)
_COUNTER_TOKENS = word_set(
    "index idx cycle cycles counter no nr row rows id seq sequence unnamed sample samples rownum"
)
_UNIT_TOKENS = {
    "s": "s",
    "sec": "s",
    "seconds": "s",
    "second": "s",
    "min": "min",
    "minutes": "min",
    "minute": "min",
} | {"h": "h", "hours": "h", "hour": "h", "days": "D", "day": "D", "ms": "ms", "millis": "ms", "us": "us", "ns": "ns"}
_SAME = 0.01
"""Part of a step by which steps may differ and still count as equal, since cells are rounded."""
_EVEN = 0.9
"""Fraction of the steps of a counter that are equal, at least."""
_LEAST_NAMED, _LEAST_UNNAMED = 10, 50
"""Rows that show that a column counts: fewer are needed if its name says so too."""
_SAMPLE = 500


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


def judge_columns(table: pd.DataFrame, roles: Roles, issues: Issues) -> set[str]:
    """Adds an issue about each column that is a feature only by default and is none, it seems; returns those columns.

    Args:
        table: Columns with cells as `read_columns` reads them.
        roles: Roles of the columns.
        issues: Receives the issues.
    """
    times = _time_columns(table, roles)
    if times and not roles.time:
        _judge_times(table, times, issues)
    elif times and _complete(table, roles.time, times):
        issues.fail(
            f"column {times[0]!r} holds times of day, which belong to the dates in {roles.time[0]!r}",
            {"time": [*roles.time, *times]},
            "name the features in data.features",
        )
    elif times:
        issues.add(
            f"columns {list(times)} hold times too, beside {list(roles.time)}; as features they would only count the rows",
            {"ignore": list(times)},
            "name the features in data.features",
        )
    rest = [name for name in roles.features if name not in times]
    answers = [name for name in rest if is_answer(name, table[name])]
    judge_answers(table, answers, roles.label, issues)
    counters = [name for name in rest if name not in answers and _is_counter(name, table[name])]
    for name in counters:
        issues.add(
            f"column {name!r} counts the rows, it seems ({shown(table[name].head(3).tolist())} ...); as a feature it would grow "
            f"beyond all that was learned",
            {"ignore": [name]},
            f"data.time={name} with data.time_format=s, min, h or D if it holds times, or name the features in data.features",
        )
    return {*times, *answers, *counters}


# --- times ---


def _time_columns(table: pd.DataFrame, roles: Roles) -> tuple[str, ...]:
    parts = {calendar_part(name): name for name in roles.features if calendar_part(name)}
    if not roles.time and set(CALENDAR[:3]) <= parts.keys():
        return tuple(parts[part] for part in CALENDAR if part in parts)
    return tuple(name for name in roles.features if is_time(name, table[name]))


def is_time(name: str, column: "pd.Series[Any]") -> bool:
    """Returns whether a column holds moments, dates, times of day, or numbers that count from a moment, judged by its cells."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if not pd.api.types.is_numeric_dtype(column):
        return _are_times(column)
    values = numbers(column)[0]
    present = values[~np.isnan(values)]
    if len(present) < 2 or not (np.diff(present) != 0).any():
        return False
    named = bool(tokens(name) & _TIME_TOKENS)
    if named and not (_ascends(present, 0.999) or _is_epoch(present)):
        return False  # such as the hour of the day
    written = number_format(present, named=named)
    if written is not None and (named or (written != EXCEL and _ascends(present, 0.95))):
        return True
    epoch = _is_epoch(present) and _ascends(present, 0.5)
    distinct = len(np.unique(present)) > 0.99 * len(present)
    return (epoch and (named or _even(present))) or (named and distinct)


def _is_epoch(present: Floats) -> bool:
    """Returns whether numbers are moments of 1979 to 2191 as s, ms, us or ns since 1970."""
    middle = float(np.median(np.abs(present)))
    return any(3e17 <= middle * unit <= 7e18 for unit in (10**9, 10**6, 10**3, 1))


def _are_times(column: "pd.Series[Any]") -> bool:
    cells = column.dropna().astype("str").str.strip()
    if cells.empty or len(cells) < 0.5 * len(column):
        return False
    some = cells.iloc[np.linspace(0, len(cells) - 1, min(len(cells), _SAMPLE)).astype(int)]
    date = r"\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{4}"
    clock = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?$|\d{1,2}\.\d{2}\.\d{2}$"
    if some.str.match(date).mean() > 0.95 or some.str.match(clock).all():
        return True
    return bool(some.str.contains(r"\d").all()) and bool(matching_formats(some))


def _complete(table: pd.DataFrame, time: Sequence[str], times: Sequence[str]) -> bool:
    """Returns whether the columns of times say only together when a row was: dates in one, times of day in the other."""
    cells = table[time[0]].dropna().astype("str").head(_SAMPLE)
    clocks = table[times[0]].dropna().astype("str").head(_SAMPLE)
    has_clock = cells.str.contains(r"\d:\d\d", regex=True).any()
    return len(time) == len(times) == 1 and not has_clock and bool(clocks.str.match(r"\d{1,2}[:.]\d{2}").all())


def _judge_times(table: pd.DataFrame, times: Sequence[str], issues: Issues) -> None:
    first, *others = sorted(
        times, key=[name for name in times if not _clock_only(table[name])].__contains__, reverse=True
    )
    calendar = all(calendar_part(name) for name in times) and len(times) > 1
    fix: dict[str, Any] = {"time": first}
    if calendar:
        fix = {"time": list(times)}
    elif others and _clock_only(table[others[0]]) and not _clock_only(table[first]):
        fix = {"time": [first, others[0]]} | ({"ignore": others[1:]} if others[1:] else {})
    elif others:
        fix["ignore"] = list(others)
    elif (unit := _counter_unit(first, table[first])) is not None:
        fix["time_format"] = unit
    cells = table[times[0]].dropna()
    issues.add(
        f"column {times[0]!r} holds times ({cells.iloc[0]}), which are no feature"
        if len(times) == 1
        else f"columns {list(times)} hold times ({cells.iloc[0]}), which are no features",
        fix,
        "name the features in data.features",
    )


def _clock_only(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    cells = column.dropna().astype("str").str.strip().head(_SAMPLE)
    return bool(cells.str.fullmatch(r"\d{1,2}[:.]\d{2}([:.]\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?").all())


def _counter_unit(name: str, column: "pd.Series[Any]") -> str | None:
    """Returns the unit of numbers that count from a start of their own: that of the name, or seconds; None for moments."""
    if not pd.api.types.is_numeric_dtype(column):
        return None
    values = numbers(column)[0]
    if (written := number_format(values, named=True)) is not None:
        return written
    if _is_epoch(values[~np.isnan(values)]):
        return None
    return next((_UNIT_TOKENS[token] for token in sorted(tokens(name)) if token in _UNIT_TOKENS), "s")


# --- counters ---


def _is_counter(name: str, column: "pd.Series[Any]") -> bool:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = numbers(column)[0]
    if len(values) < _LEAST_NAMED or np.isnan(values).any() or not (np.diff(values) != 0).any():
        return False
    steps = np.diff(values) != 0
    if tokens(name) & _COUNTER_TOKENS:
        return _even(values) or (_ascends(values, 0.95) and bool(steps.mean() > 0.5))
    least = _LEAST_NAMED if tokens(name) & _TIME_TOKENS else _LEAST_UNNAMED
    return len(values) >= least and _even(values) and _ascends(values, 0.99)


def _ascends(values: Floats, least: float) -> bool:
    """Returns whether values ascend, or descend, apart from a few jumps back."""
    steps = np.diff(values)
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= least)


def _even(values: Floats) -> bool:
    """Returns whether most steps are equal and not 0, as those of a counter are."""
    steps = np.diff(values[~np.isnan(values)])
    step = float(np.median(steps)) if len(steps) else 0.0
    return step != 0 and bool((np.abs(steps - step) <= _SAME * abs(step)).mean() >= _EVEN)
