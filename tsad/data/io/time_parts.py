"""Moments that several columns hold together: year, month, day and hour, a day of the year, a date and a time of day."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.data.io.cells import numbers

CALENDAR = ("year", "quarter", "month", "day", "day_of_year", "hour", "minute", "second")
"""Parts of a moment that columns may hold one by one."""

DATES = ({"year", "month", "day"}, {"year", "day_of_year"}, {"year", "month"}, {"year", "quarter"})
"""Parts that make a date together."""

CLOCK = ("hour", "minute", "second")
"""Parts of a time of day."""

RANGES: Mapping[str, tuple[int, int]] = {
    "year": (0, 2199),
    "quarter": (1, 4),
    "month": (1, 12),
    "day": (1, 31),
    "day_of_year": (1, 366),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 60),
}
"""Smallest and largest number of each part."""

_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("year", "yr", "yy", "yyyy", "jahr", "annee", "année", "año", "ano", "anno"), "year"),
    **dict.fromkeys(("quarter", "qtr", "quartal", "trimestre"), "quarter"),
    **dict.fromkeys(("month", "mo", "mon", "mm", "monat", "mois", "mes"), "month"),
    **dict.fromkeys(("day", "dy", "dd", "dom", "mday", "dayofmonth", "tag", "jour", "dia", "día"), "day"),
    **dict.fromkeys(("doy", "dayofyear", "yday", "yearday", "jday", "julianday", "julian"), "day_of_year"),
    **dict.fromkeys(("hour", "hr", "hh", "he", "hourending", "hourofday", "stunde", "std", "heure", "hora"), "hour"),
    **dict.fromkeys(("minute", "min", "mi", "minuteofhour", "minuto"), "minute"),
    **dict.fromkeys(("second", "sec", "ss", "sekunde", "seconde", "segundo"), "second"),
}
_REMARKS = {"utc", "gmt", "local", "lst", "lt", "time"}
"""Words beside the name of a part that say which clock is meant."""

_TWO_DIGITS = (70, 100)
"""Years of two digits: from 70 on they are of the last century."""

_WIDTHS = (("%H%M%S", 6), ("%H%M", 4), ("%H", 2))
"""Digits of a time of day that is written as a number, by the end of its format."""


def calendar_parts(names: Sequence[str]) -> dict[str, str]:
    """Returns the part of a moment that each of some columns is named after; columns with other names are left out.

    Example:
        >>> calendar_parts(["#YY", "MM", "DD", "hh", "mm", "WSPD"])
        {'#YY': 'year', 'MM': 'month', 'DD': 'day', 'hh': 'hour', 'mm': 'minute'}
    """
    parts = {name: part for name in names if (part := _NAMES.get(_plain(name)))}
    if list(parts.values()).count("month") > 1 and "mm" in parts:
        parts["mm"] = "minute"
    return parts


def _plain(name: str) -> str:
    words = re.split(r"[\W_]+", re.sub(r"\(.*\)", "", name).lower())
    return "".join(word for word in words if word not in _REMARKS)


def holds_dates(parts: set[str]) -> bool:
    """Returns whether parts of a moment say together which day, or which month, is meant."""
    return any(date <= parts for date in DATES)


def time_cells(table: pd.DataFrame, columns: Sequence[str], time_format: str | None = None) -> "pd.Series[Any]":
    """Returns the cells that say when each row was, from the columns that hold its time together.

    Columns called year, month, quarter, day or day_of_year, and possibly hour, minute and second, give ISO 8601 texts, as does
    a date with columns called hour, minute and second; hour 24 is the midnight that ends the day. Other cells are joined by a
    blank; a time of day that is a number gets zeros in front.

    Args:
        table: Table with these columns.
        columns: Names of the columns, in this order.
        time_format: Format of the joined cells, whose end says how many digits a time of day has; None if it is open.
    """
    if len(columns) == 1:
        return table[columns[0]]
    joined = " ".join(columns)
    parts = calendar_parts(columns)
    if len(set(parts.values())) == len(columns) and holds_dates(set(parts.values())):
        return _moments(table, parts).rename(joined)
    date, *others = columns
    if others and all(parts.get(name) in CLOCK and pd.api.types.is_numeric_dtype(table[name]) for name in others):
        clock = _clock({parts[name]: numbers(table[name])[0] for name in others}, table.index)
        return (_dates(table[date]) + " " + clock.where(clock.notna(), _joined(table, others))).rename(joined)
    texts = [_dates(table[date]), *(_clock_texts(table[name], time_format) for name in others)]
    return texts[0].str.cat(pd.concat(texts[1:], axis=1), sep=" ").rename(joined)


def _joined(table: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[str]":
    """Returns the cells of columns as they are, joined by blanks."""
    joined, *others = (texts_of(table[name]) for name in columns)
    for texts in others:
        joined = joined.str.cat(texts, sep=" ")
    return joined


def texts_of(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Returns cells as texts, whole numbers without a point, days without a clock; NaN where they are empty."""
    if pd.api.types.is_datetime64_any_dtype(column) and (column.dropna() == column.dropna().dt.normalize()).all():
        column = column.dt.strftime("%Y-%m-%d")
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").where(column.notna())


def _dates(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Returns dates as texts; midnight is left out of texts in which every row has it."""
    texts = texts_of(column)
    midnight = texts.str.extract(r"^(.*\d)[ T]0?0:00(?::00(?:\.0+)?)?$")[0]
    return midnight if midnight.notna().all() and len(texts) else texts


def _clock_texts(column: "pd.Series[Any]", time_format: str | None) -> "pd.Series[str]":
    """Returns times of day as texts, numbers with zeros in front."""
    texts = texts_of(column)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return texts
    width = next((digits for end, digits in _WIDTHS if (time_format or "").endswith(end)), 0)
    return texts.str.zfill(width or (int(texts.str.len().max() or 0) + 1) // 2 * 2)


def _moments(table: pd.DataFrame, parts: Mapping[str, str]) -> "pd.Series[str]":
    """Returns the ISO 8601 texts of parts of moments; the joined cells where they are none."""
    cells = {part: pd.Series(numbers(table[name])[0], table.index) for name, part in parts.items()}
    year = cells["year"]
    cells["year"] = year.where(year >= _TWO_DIGITS[1], year + np.where(year >= _TWO_DIGITS[0], 1900, 2000))
    month, day = (cells.get(part, pd.Series(1.0, table.index)) for part in ("month", "day"))
    if "quarter" in cells:
        month = cells["quarter"] * 3 - 2
    dates = pd.to_datetime(pd.DataFrame({"year": cells["year"], "month": month, "day": day}), errors="coerce")
    fits = pd.Series(data=True, index=table.index)
    if "day_of_year" in cells:
        moved = dates + pd.to_timedelta(cells["day_of_year"] - 1, unit="D")
        fits = moved.dt.year == dates.dt.year
        dates = moved
    texts = dates.dt.strftime("%Y-%m-%d")
    if clocks := {part: cells[part].to_numpy() for part in CLOCK if part in cells}:
        texts = texts + "T" + _clock(clocks, table.index)
    return texts.where(fits & texts.notna(), _joined(table, list(parts)))


def _clock(parts: "Mapping[str, np.ndarray[Any, Any]]", index: "pd.Index[Any]") -> "pd.Series[str]":
    """Returns times of day as texts such as 05:00:00 from hours, minutes and seconds, which may have fractions."""
    seconds = sum(parts[part] * factor for part, factor in zip(CLOCK, (3600, 60, 1), strict=True) if part in parts)
    inside = np.all(
        [(values >= RANGES[part][0]) & (values <= RANGES[part][1]) for part, values in parts.items()], axis=0
    )
    total = np.round(np.where(inside & (seconds <= 86_400), seconds, -1.0) * 1000).astype(np.int64)
    texts = [
        f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}"
        + (f".{ms % 1000:03d}" if ms % 1000 else "")
        if ms >= 0
        else None
        for ms in total.tolist()
    ]
    return pd.Series(texts, index, dtype="str")
