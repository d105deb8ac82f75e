"""Words and units in times: abbreviations of zones, `Uhr` and `h` behind a clock, and durations since a start."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

ELAPSED = "elapsed"
"""Time format of durations since a start: `1:02:03`, `26:15:00`, `0 days 00:00:05`, `PT5S`, `12h30m`."""

ELAPSED_MINUTES = "elapsed_minutes"
"""Time format of durations whose first number counts minutes: `90:05` is an hour and a half and five seconds."""

_ZONES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("CET", "CEST", "MEZ", "MESZ"), ("Europe/Berlin",)),
    **dict.fromkeys(("EET", "EEST"), ("Europe/Helsinki",)),
    **dict.fromkeys(("WET", "WEST"), ("Europe/Lisbon",)),
    **dict.fromkeys(("EDT",), ("America/New_York",)),
    **dict.fromkeys(("EST",), ("America/New_York", "America/Panama")),
    **dict.fromkeys(("CDT",), ("America/Chicago",)),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    **dict.fromkeys(("MDT",), ("America/Denver",)),
    "MST": ("America/Denver", "America/Phoenix"),
    **dict.fromkeys(("PST", "PDT"), ("America/Los_Angeles",)),
    **dict.fromkeys(("AKST", "AKDT"), ("America/Anchorage",)),
    "HST": ("Pacific/Honolulu",),
    "BST": ("Europe/London",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "MSK": ("Europe/Moscow",),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "HKT": ("Asia/Hong_Kong",),
    "PKT": ("Asia/Karachi",),
    "SAST": ("Africa/Johannesburg",),
    **dict.fromkeys(("AEST", "AEDT"), ("Australia/Sydney",)),
    **dict.fromkeys(("ACST", "ACDT"), ("Australia/Adelaide",)),
    "AWST": ("Australia/Perth",),
    **dict.fromkeys(("NZST", "NZDT"), ("Pacific/Auckland",)),
}
"""Zones in which each abbreviation is used; of several the one that is meant must be said."""

_TRANSLATED = {"MEZ": "CET", "MESZ": "CEST"}
_WORD = rf"(?<=[\d MmAaPp])\s*\(?({'|'.join(sorted(_ZONES, key=len, reverse=True))})\)?$"
_HOURS = (
    (r"(:\d\d|\d\.\d\d)\s*(?:[Uu][Hh][Rr]|h|hrs?)$", r"\1"),
    (r"(\d)\s*Uhr$", r"\1:00"),
    (r"(\d{1,2})\s*(?:h|Uhr)\s*(\d{2})\s*(?:m|min|mn)\s*(\d{2})\s*(?:s|sec|sek)$", r"\1:\2:\3"),
    (r"(\d{1,2})\s*(?:h|Uhr)\s*(\d{2})\s*(?:m|min|mn)$", r"\1:\2"),
    (r"(\d{1,2})\s*Uhr\s*(\d{2})$", r"\1:\2"),
)
"""Spellings of a clock with words, and the same with colons."""

_DURATION = (
    r"[-+]?\d+ days?(?:,? \+?\d{1,2}:\d{2}:\d{2}(?:\.\d+)?)?|\d+\.\d{2}:\d{2}:\d{2}(?:\.\d+)?"
    r"|P(?=\d|T\d)(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
    r"|(?=\d+ ?[dhms])(?:\d+ ?d)? ?(?:\d+ ?h)? ?(?:\d+ ?m(?:in)?)? ?(?:\d+(?:\.\d+)? ?s)?"
)
_COLONS = r"\d+:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
_DAY = 86_400.0


def plain_clocks(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Returns times such as `14.30 Uhr`, `12:30 h` and `12h30min` with colons and without words; other texts as they are."""
    if not texts.str.contains(r"[hrn]$|s$|k$|\dh|Uhr", case=False, regex=True, na=False).any():
        return texts
    for spelling, plain in _HOURS:
        texts = texts.str.replace(spelling, plain, regex=True)
    return texts.str.replace(r"(\s\d{1,2})\.(\d{2})(?:\.(\d{2}))?$", _with_colons, regex=True)


def _with_colons(match: "re.Match[str]") -> str:
    return ":".join(part for part in match.groups() if part)


def zone_words(texts: "pd.Series[str]") -> "pd.Series[Any]":
    """Returns the abbreviation of a zone that each text ends in, such as CEST; NaN for those without one."""
    return texts.str.extract(_WORD)[0]


def without_zone_words(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Returns the texts without the abbreviations of zones at their end."""
    return texts.str.replace(r"\s*" + _WORD, "", regex=True)


def zones_of(words: "pd.Series[Any]") -> list[str]:
    """Returns the zones in which all these abbreviations are used; nothing if there is none."""
    present = [_ZONES[word] for word in words.dropna().unique()]
    return [zone for zone in present[0] if all(zone in zones for zones in present)] if present else []


@cache
def offsets_of(zone: str) -> dict[str, str]:
    """Returns the offset from UTC, such as +02:00, of each abbreviation of a zone of the table; nothing for other zones."""
    offsets: dict[str, str] = {}
    for word, zones in _ZONES.items():
        if zone not in zones:
            continue
        for month in (1, 7):
            moment = datetime(2024, month, 1, tzinfo=UTC).astimezone(ZoneInfo(zone))
            if moment.tzname() == _TRANSLATED.get(word, word):
                text = moment.strftime("%z")
                offsets[word] = f"{text[:3]}:{text[3:]}"
    return offsets


def is_elapsed(column: "pd.Series[Any]") -> bool:
    """Returns whether cells are durations since a start: none is shorter than the one above, and their form is no time of day.

    Hours, minutes and seconds are durations if they begin below a minute past 0 or go beyond 24 hours.
    """
    if pd.api.types.is_timedelta64_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    cells = column.dropna().astype("str").str.strip()
    if len(cells) < 2 or cells.nunique() < 2:
        return False
    if cells.str.fullmatch(_DURATION).all():
        return bool(cells.str.contains(r"\d").all())
    if not cells.str.fullmatch(_COLONS).all() or not (cells.str.count(":") == 2).all():
        return False
    seconds = durations(cells, ELAPSED).dt.total_seconds()
    if not (seconds.diff().dropna() >= 0).all():
        return False
    return bool(seconds.max() >= _DAY or (cells.str.match(r"\d:").any() and seconds.iloc[0] == 0))


def durations(cells: "pd.Series[Any]", time_format: str) -> "pd.Series[Any]":
    """Returns the durations of cells, NaT where a cell is none.

    Args:
        cells: (T,) durations, or texts of them.
        time_format: `elapsed`, by which two numbers are hours and minutes, or `elapsed_minutes`, minutes and seconds.
    """
    if pd.api.types.is_timedelta64_dtype(cells):
        return cells
    texts = cells.astype("str").where(cells.notna()).str.strip()
    texts = texts.str.replace(r"^(\d+)\.(\d{2}:\d{2}:)", r"\1 days \2", regex=True).str.replace(",", ".", regex=False)
    two = r"0:\1:\2" if time_format == ELAPSED_MINUTES else r"\1:\2:00"
    texts = texts.str.replace(r"^(\d+):([0-5]\d(?:\.\d+)?)$", two, regex=True)
    texts = texts.str.replace(r"(\d) ?h ?(\d+)$", r"\1 hours \2 minutes", regex=True)
    parts = texts.str.extract(r"^(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)$").astype(float)
    whole = pd.to_timedelta(texts.where(parts[0].isna()), errors="coerce")
    return whole.fillna(pd.to_timedelta((parts[0] * 60 + parts[1]) * 60 + parts[2], unit="s").dt.round("us"))
