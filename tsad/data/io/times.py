"""Times of rows in UTC, read from texts, from numbers since 1970, or from local times of a zone."""

import re
from typing import Any

import numpy as np
import pandas as pd

from tsad.arrays import Flags, Times
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.time_formats import EXCEL, matching_formats, midnight_before, number_format
from tsad.data.io.time_options import SINCE_1970, UNITS, TimeOptions
from tsad.data.io.time_parts import texts_of
from tsad.data.io.time_words import (
    ELAPSED,
    ELAPSED_MINUTES,
    durations,
    offsets_of,
    plain_clocks,
    without_zone_words,
    zone_words,
    zones_of,
)
from tsad.errors import shown
from tsad.series import runs

_EARLY, _LATE = 3e17, 7e18
"""Nanoseconds since 1970 of a date in 1979 and of one in 2191; a number between them can be a time."""
_SLASHED = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})"
_YEAR_FIRST = r"^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?!\d)"
_OFFSET = r"(?:Z|UTC|[+-]\d\d:?\d\d)$"
_SPELLINGS = (
    (r"(:\d\d),(\d+)", r"\1.\2"),
    (r"\s*([+-]\d\d:?\d\d)(?:\s+(?:UTC|GMT))?$", r"\1"),
    (r"(\d)\s*(?:UTC|GMT)$", r"\1Z"),
)
"""Common spellings of ISO 8601 times with a clock, and what the standard writes for them."""
_MIDNIGHT = r"(?<![:\d])24:00(?P<seconds>:00(?:\.0+)?)?(?=$|[Z+-])"


_PLAIN = TimeOptions()


def read_times(
    column: "pd.Series[Any]", options: TimeOptions, issues: Issues, previous: np.datetime64 | None = None
) -> Times | None:
    """Returns the (T,) times of the cells, datetime64[ns] in UTC, or None after adding an issue about some of them.

    Args:
        column: (T,) cells of the column, or of the columns joined by `time_cells`.
        options: How times are written.
        issues: Receives issues and repairs.
        previous: Time of the row before the first one, if these are later rows of a file that is read in chunks.
    """
    times = _parsed(column, options, issues)
    if times is None:
        return None
    wrong = times.isna().to_numpy()
    if wrong.any():
        _judge_unread(column, wrong, issues)
        return None
    if times.dt.tz is None and options.time_zone is not None:
        return _utc(times, options.time_zone, issues, previous)
    if options.time_zone is not None and not _says_zone(column):
        issues.add(
            f"time column {column.name!r} says its own offset from UTC, but time_zone is {options.time_zone}",
            {"time_zone": None},
        )
    return (times if times.dt.tz is None else times.dt.tz_convert(None)).to_numpy().astype("datetime64[ns]")


def _says_zone(column: "pd.Series[Any]") -> bool:
    """Returns whether cells end in abbreviations of zones, which are offsets of the zone that is set."""
    return not pd.api.types.is_datetime64_any_dtype(column) and bool(
        zone_words(texts_of(column).str.strip()).notna().all()
    )


def _judge_unread(column: "pd.Series[Any]", wrong: Flags, issues: Issues) -> None:
    """Adds an issue about cells that are no times; its fix is the one format that reads all of them, if there is one."""
    row = int(wrong.argmax())
    more = f" and {int(wrong.sum()) - 1} others are none either" if wrong.sum() > 1 else ""
    text = f"time column {column.name!r} must hold timestamps, but row {column.index[row]} has {shown(column.iloc[row])}{more}"
    texts = without_zone_words(texts_of(column).str.strip())
    late = r"( )24(?=(?:00){0,2}$)"  # no format reads it, but hour 24 is read
    forms = [] if column.isna().any() else matching_formats(texts.str.replace(late, r"\g<1>23", regex=True))
    if texts[wrong].str.fullmatch(r"\d+:\d\d(:\d\d)?([.,]\d+)?").all():
        seconds = durations(texts, ELAPSED).dt.total_seconds()
        rises = bool((seconds.diff().dropna() >= 0).all())
        missing_date = f"write the date in a column beside it and set data.time=[DATE, {column.name}]"
        issues.add(
            f"{text}; these are times of day without a date, or durations",
            advice="data.time_format=elapsed for hours and minutes since a start, or data.time_format=elapsed_minutes for "
            "minutes and seconds"
            if rises
            else missing_date,
        )
        return
    if len(forms) == 1:
        issues.add(text, {"time_format": forms[0]}, "another format")
    elif forms:
        issues.add(text, advice=f"say which it is: {' or '.join(f'data.time_format={form}' for form in forms)}")
    else:
        issues.add(text, advice="correct them or leave their rows out (data.time_format says how to read them)")


def to_times(
    column: "pd.Series[Any]", source: str, options: TimeOptions = _PLAIN, previous: np.datetime64 | None = None
) -> Times:
    """Returns the times of the cells as `read_times` does; raises `DataError` at the first issue."""
    issues = Issues(source)
    times = read_times(column, options, issues, previous)
    if times is None or issues.items:
        raise FatalIssueError(issues.items[0])
    return times


def _parsed(column: "pd.Series[Any]", options: TimeOptions, issues: Issues) -> "pd.Series[Any] | None":
    """Returns the times, NaT where a cell is none; with a zone if the cells have offsets."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    if options.time_format in {ELAPSED, ELAPSED_MINUTES} or pd.api.types.is_timedelta64_dtype(column):
        return pd.Timestamp(0) + durations(column, options.time_format or ELAPSED)
    if options.time_format == EXCEL:
        days: pd.Series[Any] = pd.to_numeric(column, errors="coerce")
        return pd.Series(pd.to_datetime(days, unit="D", origin="1899-12-30"), index=column.index).dt.round("ms")
    if pd.api.types.is_numeric_dtype(column) and (options.time_format is None or options.time_format in UNITS):
        return _from_numbers(column, options, issues)
    texts = texts_of(column).str.strip()
    words = zone_words(texts)
    if words.notna().any():
        return _with_zone(column, texts, words, options, issues)
    if options.time_format is not None:
        return _formatted(texts, options.time_format)
    texts = plain_clocks(texts)
    if len(options.time_columns) > 1:
        texts = texts.mask(texts.str.contains(r" \d{1,6}$", regex=True, na=False))  # a number has a format
    clock = texts.str.contains(":", na=False)
    for spelling, standard in _SPELLINGS:
        texts = texts.where(~clock, texts.str.replace(spelling, standard, regex=True))
    midnight = texts.str.replace(_MIDNIGHT, r"00:00\g<seconds>", regex=True)
    next_day = (midnight != texts) & texts.notna()
    texts = _day_first(_year_first(midnight), options, issues)
    offsets = texts.str.contains(_OFFSET, regex=True, na=False) & texts.str.contains(":", na=False)
    if offsets.any() and not (offsets | texts.isna()).all():
        issues.add(
            f"time column {column.name!r} has {int(offsets.sum())} times with an offset from UTC and others without, first at "
            f"row {column.index[int((~offsets).to_numpy().argmax())]}",
            advice="write all of them in one way",
        )
        return None
    times: pd.Series[Any] = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=bool(offsets.any()))
    return times.where(~next_day, times + pd.Timedelta(days=1)) if next_day.any() else times


def _formatted(texts: "pd.Series[str]", form: str) -> "pd.Series[Any]":
    """Returns the times of texts of one format, in which hour 24 is the midnight that ends the day."""
    times: pd.Series[Any] = pd.to_datetime(texts, format=form, errors="coerce")
    if not (times.isna() & texts.notna()).any() or "%H" not in form:
        return times
    before = texts.where(times.isna()).map(lambda text: midnight_before(form, text), na_action="ignore")
    return times.fillna(pd.to_datetime(before, format=form, errors="coerce") + pd.Timedelta(days=1))


def _with_zone(
    column: "pd.Series[Any]", texts: "pd.Series[str]", words: "pd.Series[Any]", options: TimeOptions, issues: Issues
) -> "pd.Series[Any] | None":
    """Returns times that say the abbreviation of their zone; None after adding the issue that the zone must be set."""
    names = sorted(words.dropna().unique())
    zone = options.time_zone
    offsets = {} if zone is None else offsets_of(zone)
    if zone is not None and not offsets and len(names) == 1:
        offsets = {names[0]: pd.Timestamp("2024-01-01", tz=zone).strftime("%z")}
    if not set(names) <= offsets.keys():
        zones = zones_of(words)
        advice = " or ".join(f"data.time_zone={name}" for name in zones[1:]) + " if that is meant" * (len(zones) > 1)
        issues.add(
            f"time column {column.name!r} says {' and '.join(names)} ({shown(column[words.notna()].iloc[0])}), which "
            + ("are offsets of a zone that must be named" if zone is None else f"are no times of {zone}"),
            {"time_zone": zones[0]} if len(zones) == 1 else {},
            advice if len(zones) == 1 or not zones else " or ".join(f"data.time_zone={name}" for name in zones),
        )
        return None
    plain = options.model_copy(update={"time_zone": None})
    times = _parsed(without_zone_words(texts), plain, issues)
    if times is None or times.dt.tz is not None:
        return times
    shifts = pd.to_timedelta(words.map(offsets).str.replace(r"^([+-]\d\d):?(\d\d)$", r"\1:\2:00", regex=True))
    return (times - shifts).dt.tz_localize("UTC")


def _from_numbers(column: "pd.Series[Any]", options: TimeOptions, issues: Issues) -> "pd.Series[Any] | None":
    numbers: pd.Series[Any] = pd.to_numeric(column)
    middle = float(numbers.abs().median())
    written = None if options.time_format else number_format(numbers.to_numpy(np.float64, na_value=np.nan), named=True)
    unit: Any = options.time_format or next(
        (name for name, ns in SINCE_1970.items() if _EARLY <= middle * ns <= _LATE and not written), None
    )
    if unit is None:
        issues.add(
            f"time column {column.name!r} has numbers around {middle:g}, which are "
            + (
                f"dates of the format {written}, it seems"
                if written
                else "no dates as seconds, ms, us or ns since 1970"
            ),
            {"time_format": written or "s"},
            "another format or unit" if written else "data.time_format=min, h or D if they count those",
        )
        return None
    inside = numbers.where(numbers.abs() * UNITS[unit] < 2**63)  # the range of nanoseconds in 64 bits
    times = pd.Series(pd.to_datetime(inside, unit={"min": "m"}.get(unit, unit)), index=column.index)
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
    day_first = options.day_first
    if day_first is None:
        day_first = _inferred_day_first(texts, parts)
        if day_first is None:
            row = int(parts[0].notna().to_numpy().argmax())
            issues.add(
                f"dates such as {shown(texts.iloc[row])} in row {texts.index[row]} can be read in two ways",
                advice="say which it is: data.day_first=true or data.day_first=false",
            )
            return _iso_dates(texts, day_first=True)
        issues.inferred["day_first"] = day_first
        issues.add_repair(
            f"dates such as {shown(texts.dropna().iloc[0])} were read as {'day' if day_first else 'month'} first"
        )
    return _iso_dates(texts, day_first=day_first)


def _inferred_day_first(texts: "pd.Series[str]", parts: pd.DataFrame) -> bool | None:
    """Returns whether the day comes first: as no month is above 12, or as only one of two readings ascends; None if unknown."""
    first, second = ((pd.to_numeric(parts[group]) > 12).any() for group in (0, 1))
    if first != second:
        return bool(first)
    ascending = []
    for day_first in (True, False):
        times = pd.to_datetime(_iso_dates(texts, day_first=day_first), format="ISO8601", errors="coerce", utc=True)
        ascending.append(bool(times.notna().all() and times.is_monotonic_increasing and (times != times.iloc[0]).any()))
    return ascending[0] if ascending[0] != ascending[1] else None


def _iso_dates(texts: "pd.Series[str]", *, day_first: bool) -> "pd.Series[str]":
    pattern = re.compile(_SLASHED)
    day, month = (1, 2) if day_first else (2, 1)

    def iso_date(match: "re.Match[str]") -> str:
        return f"{match[3]}-{int(match[month]):02d}-{int(match[day]):02d}"

    return texts.map(lambda text: pattern.sub(iso_date, text), na_action="ignore")


def _utc(times: "pd.Series[Any]", zone: str, issues: Issues, previous: np.datetime64 | None) -> Times | None:
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
        if start == 0 and previous is not None and early.tz_convert(None).to_numpy()[0] <= previous:
            after[:stop] = True  # the clock was set back before these rows
    if twice.any():
        issues.add_repair(
            f"{int(twice.sum())} times occur twice in {zone}, where the clock was set back, first at row "
            f"{times.index[int(twice.argmax())]}; {int(after.sum())} of them, after a step back, are the second"
        )
    chosen = np.where(after, late.tz_convert(None).to_numpy(), early.tz_convert(None).to_numpy())
    return chosen.astype("datetime64[ns]")
