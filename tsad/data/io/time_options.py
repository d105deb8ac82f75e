"""Settings that say how the times of rows are written."""

from typing import Annotated

import pandas as pd
from pydantic import Field, field_validator

from tsad.data.io.time_formats import EXCEL
from tsad.data.io.time_words import ELAPSED, ELAPSED_MINUTES
from tsad.spec import Spec

SINCE_1970 = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
UNITS = {**SINCE_1970, "min": 60 * 10**9, "h": 3600 * 10**9, "D": 86_400 * 10**9}
"""Nanoseconds in each unit of numbers; the last three only count from a start of their own."""


class TimeOptions(Spec):
    """Format of the times of rows.

    Attributes:
        time: Name of the column of times, which must ascend, or names of columns that hold them together, such as
            `[Date, Time]`, `[date, hour]`, `[year, month, day, hour]` or `[year, day_of_year]`; null for rows without times. An
            hour of 24 is the midnight that ends the day.
        time_format: `s`, `ms`, `us` or `ns` for numbers since 1970; `min`, `h` or `D` for minutes, hours or days; `excel` for
            days of a spreadsheet; `elapsed` for durations since a start, such as `1:02:03`, `0 days 00:00:05` and `PT5S`, or
            `elapsed_minutes` where `90:05` is minutes and seconds; or a strptime format such as `%d.%m.%y %H:%M`, also for dates
            written as whole numbers such as 20240131 (`%Y%m%d`). If null, texts are read as ISO 8601, as year/month/day, or as
            day, month and year (see `day_first`), and numbers in the one of s, ms, us and ns that makes them dates from 1979 to
            2191.
        day_first: Whether `03/04/2024` is the third of April. If null, the cells decide, provided that one of them can be read
            in one way only; otherwise it is an error.
        time_zone: Zone of the clock, such as `Europe/Berlin`, if times have no offset of their own; null takes them as UTC.
            Abbreviations such as CET and CEST are offsets of the zone that is named here.
            A time that occurs twice, when the clock is set back, is the earlier moment until the times of the file step back,
            and the later moment after that. A time that the clock skipped is an error.
    """

    time: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
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
        if text is not None and text not in {*UNITS, EXCEL, ELAPSED, ELAPSED_MINUTES} and "%" not in text:
            raise ValueError(
                "must be s, ms, us, ns, min, h, D, excel, elapsed or elapsed_minutes, or a strptime format such as %Y-%m-%d %H:%M"
            )
        return text

    @property
    def time_columns(self) -> tuple[str, ...]:
        """Names of the columns that hold the times; nothing for rows without times."""
        return () if self.time is None else (self.time,) if isinstance(self.time, str) else self.time
