"""Times of rows in UTC, read from texts, from numbers since 1970, or from local times of a zone."""

import re
from typing import Any

import numpy as np
import pandas as pd
from pydantic import field_validator

from tsad.arrays import Times
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.errors import shown
from tsad.series import runs
from tsad.spec import Spec

_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EARLY, _LATE = 3e17, 7e18
"""Nanoseconds since 1970 of a date in 1979 and of one in 2191; a number between them can be a time."""
_SLASHED = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})"
_YEAR_FIRST = r"^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?!\d)"
_OFFSET = r"(?:Z|UTC|[+-]\d\d:?\d\d)$"


class TimeOptions(Spec):
    """Format of the times of rows.

    Attributes:
        time: Name of the column of times, which must ascend; null for rows without times.
        time_format: `s`, `ms`, `us` or `ns` for numbers since 1970, or a strptime format such as `%d.%m.%y %H:%M`. If null,
            texts are read as ISO 8601, as year/month/day, or as day, month and year (see `day_first`), and numbers in the one
            of the four units that makes them dates from 1979 to 2191.
        day_first: Whether `03/04/2024` is the third of April. If null, the cells decide, provided that one of them can be read
            in one way only; otherwise it is an error.
        time_zone: Zone of the clock, such as `Europe/Berlin`, if times have no offset of their own; null takes them as UTC.
            A time that occurs twice, when the clock is set back, is the earlier moment until the times of the file step back,
            and the later moment after that. A time that the clock skipped is an error.
    """

    time: str | None = None
    time_format: str | None = None
    day_first: bool | None = None
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _existing_zone(cls, zone: str | None) -> str | None:
        try:
            pd.Timestamp(0, tz=zone)
        except (KeyError, ValueError):
            raise ValueError(
                "must be the name of a time zone such as Europe/Berlin, or an offset such as UTC+01:00"
            ) from None
        return zone

    @field_validator("time_format")
    @classmethod
    def _unit_or_format(cls, text: str | None) -> str | None:
        if text is not None and text not in _UNITS and "%" not in text:
            raise ValueError("must be s, ms, us or ns, or a strptime format such as %Y-%m-%d %H:%M")
        return text


_PLAIN = TimeOptions()


def read_times(column: "pd.Series[Any]", options: TimeOptions, issues: Issues) -> Times | None:
    """Returns the (T,) times of the cells, datetime64[ns] in UTC, or None after adding an issue about some of them."""
    times = _parsed(column, options, issues)
    if times is None:
        return None
    wrong = times.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        issues.add(
            f"time column {column.name!r} must hold timestamps, but row {column.index[row]} has {shown(column.iloc[row])}"
            + (f" and {int(wrong.sum()) - 1} others are none either" if wrong.sum() > 1 else ""),
            {"time": None, "ignore": [column.name]} if wrong.all() else None,
            "set data.time_format"
            if wrong.all()
            else "correct them or leave their rows out (data.time_format says how to read them)",
        )
        return None
    if times.dt.tz is None and options.time_zone is not None:
        return _utc(times, options.time_zone, issues)
    if options.time_zone is not None:
        issues.add(
            f"time column {column.name!r} says its own offset from UTC, but time_zone is {options.time_zone}",
            {"time_zone": None},
        )
    return (times if times.dt.tz is None else times.dt.tz_convert(None)).to_numpy().astype("datetime64[ns]")


def to_times(column: "pd.Series[Any]", source: str, options: TimeOptions = _PLAIN) -> Times:
    """Returns the times of the cells as `read_times` does; raises `DataError` at the first issue."""
    issues = Issues(source)
    times = read_times(column, options, issues)
    if times is None or issues.items:
        raise FatalIssueError(issues.items[0])
    return times


def _parsed(column: "pd.Series[Any]", options: TimeOptions, issues: Issues) -> "pd.Series[Any] | None":
    """Returns the times, NaT where a cell is none; with a zone if the cells have offsets."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    if pd.api.types.is_numeric_dtype(column) and (options.time_format is None or options.time_format in _UNITS):
        return _since_1970(column, options, issues)
    texts: pd.Series[Any] = column.astype("str").where(column.notna())
    if options.time_format is not None:
        return pd.to_datetime(texts, format=options.time_format, errors="coerce")
    texts = _day_first(_year_first(texts), options, issues)
    offsets = texts.str.contains(_OFFSET, regex=True, na=False) & texts.str.contains(":", na=False)
    if offsets.any() and not (offsets | texts.isna()).all():
        issues.add(
            f"time column {column.name!r} has {int(offsets.sum())} times with an offset from UTC and others without, first at "
            f"row {column.index[int((~offsets).to_numpy().argmax())]}",
            advice="write all of them in one way",
        )
        return None
    times: pd.Series[Any] = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=bool(offsets.any()))
    return times


def _since_1970(column: "pd.Series[Any]", options: TimeOptions, issues: Issues) -> "pd.Series[Any] | None":
    numbers: pd.Series[Any] = pd.to_numeric(column)
    middle = float(numbers.abs().median())
    unit: Any = options.time_format or next(
        (name for name, ns in _UNITS.items() if _EARLY <= middle * ns <= _LATE), None
    )
    if unit is None:
        issues.add(
            f"time column {column.name!r} has numbers around {middle:g}, which are no dates as seconds, ms, us or ns since 1970",
            {"time_format": "s"},
            "data.time_format=%Y%m%d if that is what they say",
        )
        return None
    inside = numbers.where(numbers.abs() * _UNITS[unit] < 2**63)  # the range of nanoseconds in 64 bits
    times = pd.Series(pd.to_datetime(inside, unit=unit), index=column.index)
    if options.time_format is None:
        issues.add_repair(f"times of column {column.name!r} are numbers and were read as {unit} since 1970")
    return times


def _year_first(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Returns dates such as 2024/4/3 as 2024-04-03; other texts as they are."""

    def iso_date(match: "re.Match[str]") -> str:
        return f"{match[1]}-{int(match[2]):02d}-{int(match[3]):02d}"

    return texts.str.replace(_YEAR_FIRST, iso_date, regex=True)


def _day_first(texts: "pd.Series[str]", options: TimeOptions, issues: Issues) -> "pd.Series[str]":
    """Returns dates such as 3/4/2024 as 2024-04-03 or 2024-03-04; other texts as they are."""
    parts = texts.str.extract(_SLASHED)
    if parts[0].isna().all():
        return texts
    first, second = (pd.to_numeric(parts[group]) for group in (0, 1))
    day_first = options.day_first
    if day_first is None:
        if (first > 12).any() == (second > 12).any():
            row = int(parts[0].notna().to_numpy().argmax())
            issues.add(
                f"dates such as {shown(texts.iloc[row])} in row {texts.index[row]} can be read in two ways",
                {"day_first": True},
                "data.day_first=false if the month comes first",
            )
        day_first = issues.inferred["day_first"] = bool((first > 12).any())
        issues.add_repair(
            f"dates such as {shown(texts.dropna().iloc[0])} were read as {'day' if day_first else 'month'} first"
        )
    pattern = re.compile(_SLASHED)
    day, month = (1, 2) if day_first else (2, 1)

    def iso_date(match: "re.Match[str]") -> str:
        return f"{match[3]}-{int(match[month]):02d}-{int(match[day]):02d}"

    return texts.map(lambda text: pattern.sub(iso_date, text), na_action="ignore")


def _utc(times: "pd.Series[Any]", zone: str, issues: Issues) -> Times | None:
    """Returns local times in UTC by the rule of `TimeOptions.time_zone`."""
    local = pd.DatetimeIndex(times)
    early, late = (
        local.tz_localize(zone, ambiguous=np.full(len(local), first), nonexistent="NaT") for first in (True, False)
    )
    skipped = np.asarray(early.isna())
    if skipped.any():
        row = int(skipped.argmax())
        offset = (local[row] - pd.Timedelta(days=1)).tz_localize(zone).strftime("%z")
        issues.add(
            f"{int(skipped.sum())} times do not exist in {zone}, where the clock was set forward, first at row "
            f"{times.index[row]} ({local[row]})",
            {"time_zone": f"UTC{offset[:3]}:{offset[3:]}"},
            "another zone",
        )
        return None
    twice = np.asarray(early != late)
    after = np.zeros(len(local), bool)
    for start, stop in runs(twice):
        back = np.flatnonzero(np.diff(local[start:stop]) <= np.timedelta64(0))
        if len(back):
            after[start + int(back[0]) + 1 : stop] = True
    if twice.any():
        issues.add_repair(
            f"{int(twice.sum())} times occur twice in {zone}, where the clock was set back, first at row "
            f"{times.index[int(twice.argmax())]}; {int(after.sum())} of them, after a step back, are the second"
        )
    chosen = np.where(after, late.tz_convert(None).to_numpy(), early.tz_convert(None).to_numpy())
    return chosen.astype("datetime64[ns]")
