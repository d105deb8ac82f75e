"""Columns of times that nobody named, and further columns that a moment needs to be complete."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.arrays import Floats
from tsad.data.io.answers import tokens, word_set
from tsad.data.io.cells import numbers
from tsad.data.io.issues import Issues, settings_text
from tsad.data.io.time_formats import EXCEL, matching_formats, number_format
from tsad.data.io.time_parts import CALENDAR, CLOCK, DATES, RANGES, calendar_parts, holds_dates, time_cells
from tsad.data.io.time_words import ELAPSED, is_elapsed, without_zone_words

TIME_TOKENS = word_set(
    "time times timestamp timestamps timestep date dates datetime ts epoch clock moment month year day hour "
    "minute second millis unix utc created recorded observed elapsed zeit datum uhrzeit zeitstempel fecha hora "
    "heure tiempo temps serial hhmm hhmmss"
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
_SAMPLE = 500
_REPEATED = 0.01
"""Fraction of the rows that may have date and hour of another row, such as the hour that a clock is set back by."""
_HOURS = 20
"""Different hours of the day that a column without a name of its own shows, at least."""
_CLOCK = r"\d{1,2}[:.]\d{2}([:.]\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?( ?([Uu]hr|h))?|\d{1,2}h(\d{2})?|\d{1,2} ?Uhr"
_DATE = r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|(19|20|21)\d{6}"


def time_columns(table: pd.DataFrame, features: Sequence[str], time: Sequence[str]) -> tuple[str, ...]:
    """Returns the features that hold times: parts of a calendar that make a date, or moments, dates and times of day.

    Args:
        table: Columns with cells as `read_columns` reads them.
        features: Names of the columns that may hold times.
        time: Names of the columns of times that are set; nothing if there are none.
    """
    parts = _fitting_parts(table, features)
    if not time and holds_dates(set(parts)) and "year" in parts:
        date = next(date for date in DATES if date <= set(parts))
        return tuple(parts[part] for part in CALENDAR if part in parts and part in {*date, *CLOCK})
    return tuple(name for name in features if is_time(name, table[name]))


def _fitting_parts(table: pd.DataFrame, features: Sequence[str]) -> dict[str, str]:
    """Returns the first column of whole numbers of each part of a moment that is called like it and within its range."""
    parts: dict[str, str] = {}
    for name, part in calendar_parts(features).items():
        if pd.api.types.is_numeric_dtype(table[name]) and _is_within(numbers(table[name])[0], *RANGES[part]):
            parts.setdefault(part, name)
    return parts


def _is_within(values: Floats, least: float, most: float) -> bool:
    return len(values) > 0 and bool(((values >= least) & (values <= most) & (values == np.floor(values))).all())


def judge_times(table: pd.DataFrame, features: Sequence[str], time: Sequence[str], issues: Issues) -> tuple[str, ...]:
    """Adds an issue about features that hold times, or that complete the times that are set; returns their names.

    Args:
        table: Columns with cells as `read_columns` reads them.
        features: Names of the columns that may hold times.
        time: Names of the columns of times that are set; nothing if there are none.
        issues: Receives the issues, and as a repair which parts of a calendar stay features.

    Raises:
        FatalIssueError: if times that are set are dates, and a feature holds the times of day.
    """
    times = time_columns(table, features, time)
    if not time:
        times = _judge_unset(table, features, times, issues) if times else ()
    elif more := companions(table, time, features):
        issues.fail(
            f"columns {list(more)} hold times of day{_remark(table, more)}, which belong to the dates in {list(time)}",
            {"time": [*time, *more]},
            "name the features in data.features",
        )
    elif times:
        issues.add(
            f"columns {list(times)} hold times too, beside {list(time)}; as features they would only count the rows",
            {"ignore": list(times)},
            "name the features in data.features",
        )
    rest = [name for name in features if name not in times]
    if parts := sorted(_fitting_parts(table, rest).values(), key=rest.index):
        issues.add_repair(f"columns {parts} are called like parts of a time, and are features")
    return times


def _judge_unset(
    table: pd.DataFrame, features: Sequence[str], times: tuple[str, ...], issues: Issues
) -> tuple[str, ...]:
    """Adds the issue that columns hold times, and returns them with those that complete them."""
    others: list[str] = []
    first = times
    fix: dict[str, Any] = {"time": list(times)}
    if not (holds_dates(set(calendar_parts(times).values())) and len(times) > 1):
        ranks = {name: (_is_clock(table[name]), _is_date(table[name])) for name in times}
        best = min(times, key=ranks.__getitem__)
        first = (best, *companions(table, (best,), features))
        others = [name for name in times if name not in first]
        fix["time"] = list(first) if len(first) > 1 else best
        if others:
            fix["ignore"] = others
        elif len(first) == 1 and (unit := _format_of(best, table[best])) is not None:
            fix["time_format"] = unit
    every = (*first, *others)
    cells = table[times[0]].dropna()
    issues.add(
        f"column {every[0]!r} holds times ({cells.iloc[0]}), which are no feature"
        if len(every) == 1
        else f"columns {list(every)} hold times ({cells.iloc[0]}{_remark(table, every)}), which are no features",
        fix,
        _advice(table, every),
    )
    return every


def _advice(table: pd.DataFrame, times: Sequence[str]) -> str:
    advice = "name the features in data.features"
    if len(times) > 1 and not calendar_parts(times[1:]) and pd.api.types.is_numeric_dtype(table[times[1]]):
        machines = settings_text({"time": times[0], "entity": times[1]})
        return f"{machines} if {times[1]!r} names machines, or {advice}"
    return advice


def _remark(table: pd.DataFrame, times: Sequence[str]) -> str:
    """Returns what hours up to 24 mean; nothing if there are none."""
    hours = [name for name in times if calendar_parts([name]).get(name) == "hour" or len(times) == 1]
    late = [name for name in hours if pd.api.types.is_numeric_dtype(table[name]) and table[name].max() == 24]
    return f", {late[0]!r} up to 24, which is the midnight that ends the day" if late else ""


def companions(table: pd.DataFrame, time: Sequence[str], features: Sequence[str]) -> tuple[str, ...]:
    """Returns the features that hold the times of day of dates; nothing if the times are no dates, or complete.

    They are times of day as text, or, where several rows have one date, whole numbers: hours, minutes and seconds in columns
    called so, hours and minutes together such as 1430, or the hours of each day in a column of another name.
    """
    parts = calendar_parts(time)
    if set(parts.values()) & set(CLOCK) or not (holds_dates(set(parts.values())) or len(time) == 1):
        return ()
    dates = time_cells(table, time)
    rest = [name for name in features if name not in time]
    if not _is_date(dates):
        return ()
    if clocks := [name for name in rest if _is_clock(table[name])]:
        return (clocks[0],)
    if not dates.duplicated().any():
        return ()
    clock = {part: name for part, name in _fitting_parts(table, rest).items() if part in CLOCK}
    if "hour" in clock:
        return tuple(clock[part] for part in CLOCK if part in clock)
    named = [name for name in rest if tokens(name) & TIME_TOKENS and _is_digital_clock(table[name])]
    return tuple((named or [name for name in rest if _counts_hours(table[name], dates)])[:1])


def _is_digital_clock(column: "pd.Series[Any]") -> bool:
    """Returns whether whole numbers are times of day such as 1430 or 143000, or hours."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = numbers(column)[0]
    return _is_within(values, 0, 240_000) and _is_within(values % 100, 0, 59) and _is_within(values // 100 % 100, 0, 59)


def _counts_hours(column: "pd.Series[Any]", dates: "pd.Series[Any]") -> bool:
    """Returns whether a column has the hours 0 to 23, or 1 to 24, of each date, once each."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = numbers(column)[0]
    first = values.min() if len(values) else np.nan
    if first not in (0, 1) or not _is_within(values, first, first + 23) or len(np.unique(values)) < _HOURS:
        return False
    return bool(pd.DataFrame({"date": dates.to_numpy(), "hour": values}).duplicated().mean() <= _REPEATED)


# --- what the cells of a column are ---


def is_time(name: str, column: "pd.Series[Any]") -> bool:
    """Returns whether a column holds moments, dates, times of day, or numbers that count from a moment, judged by its cells."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if not pd.api.types.is_numeric_dtype(column):
        return is_elapsed(column) or _are_times(column)
    values = numbers(column)[0]
    present = values[~np.isnan(values)]
    if len(present) < 2 or not (np.diff(present) != 0).any():
        return False
    named = bool(tokens(name) & TIME_TOKENS)
    if named and not (ascends(present, 0.999) or _is_epoch(present)):
        return False  # such as the hour of the day
    written = number_format(present, named=named)
    if written is not None and (named or (written != EXCEL and ascends(present, 0.95))):
        return True
    epoch = _is_epoch(present) and ascends(present, 0.5)
    distinct = len(np.unique(present)) > 0.99 * len(present)
    return (epoch and (named or is_even(present))) or (named and distinct)


def _is_epoch(present: Floats) -> bool:
    """Returns whether numbers are moments of 1979 to 2191 as s, ms, us or ns since 1970."""
    middle = float(np.median(np.abs(present)))
    return any(3e17 <= middle * unit <= 7e18 for unit in (10**9, 10**6, 10**3, 1))


def _some(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Returns texts of some cells of a column, from everywhere in it."""
    cells = column.dropna().astype("str").str.strip()
    return cells.iloc[np.linspace(0, len(cells) - 1, min(len(cells), _SAMPLE)).astype(int)]


def _are_times(column: "pd.Series[Any]") -> bool:
    some = _some(column)
    if some.empty or column.notna().mean() < 0.5:
        return False
    date = r"\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{4}"
    clock = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?( ?([Uu]hr|h))?$|\d{1,2}\.\d{2}\.\d{2}$"
    if some.str.match(date).mean() > 0.95 or some.str.match(clock).all():
        return True
    return bool(some.str.contains(r"\d").all()) and bool(matching_formats(without_zone_words(some)))


def _is_date(column: "pd.Series[Any]") -> bool:
    """Returns whether cells are dates without times of day."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return bool((column.dropna() == column.dropna().dt.normalize()).all())
    if pd.api.types.is_numeric_dtype(column):
        return number_format(numbers(column)[0], named=True) == "%Y%m%d"
    some = _some(column)
    some = some.str.replace(r"[ T]0?0:00(:00(\.0+)?)?$", "", regex=True)
    if some.str.fullmatch(_DATE).all():
        return True
    forms = [] if some.str.contains(":").any() else matching_formats(some)
    return bool(forms) and not any(part in form for form in forms for part in ("%H", "%I"))


def _is_clock(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    some = _some(column)
    return not some.empty and bool(some.str.fullmatch(_CLOCK).all())


def _format_of(name: str, column: "pd.Series[Any]") -> str | None:
    """Returns the format of durations, and the unit of numbers that count from a start of their own; None for moments."""
    if not pd.api.types.is_numeric_dtype(column):
        return ELAPSED if is_elapsed(column) else None
    values = numbers(column)[0]
    if (written := number_format(values, named=True)) is not None:
        return written
    if _is_epoch(values[~np.isnan(values)]):
        return None
    return next((_UNIT_TOKENS[token] for token in sorted(tokens(name)) if token in _UNIT_TOKENS), "s")


def ascends(values: Floats, least: float) -> bool:
    """Returns whether values ascend, or descend, apart from a few jumps back."""
    steps = np.diff(values)
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= least)


def is_even(values: Floats) -> bool:
    """Returns whether most steps are equal and not 0, as those of a counter are."""
    steps = np.diff(values[~np.isnan(values)])
    step = float(np.median(steps)) if len(steps) else 0.0
    return step != 0 and bool((np.abs(steps - step) <= _SAME * abs(step)).mean() >= _EVEN)
