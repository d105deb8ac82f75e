"""Formats of times that people write: texts with words or two-digit years, dates as whole numbers, days of a spreadsheet."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from tsad.arrays import Floats

EXCEL = "excel"
"""Time format of numbers that count days, with fractions, since 1899-12-30, as spreadsheets store moments."""

_EXCEL_DAYS = (20_000, 60_000)
"""Days since 1899-12-30 of a date in 1954 and of one in 2064."""

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%b-%d-%Y", "%b/%d/%Y", "%b %d, %Y", "%b %d %Y", "%d %b %y"),
    *("%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d-%B-%Y", "%Y %b %d", "%Y-%b-%d"),
    *("%a %d %b %Y", "%a, %d %b %Y", "%A, %d %B %Y", "%a %b %d %Y", "%A, %B %d, %Y"),
)
_CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%I:%M%p", "%I:%M:%S%p"),
    *("%H", "%I %p", "%H.%M", "%H.%M.%S", "%H%M", "%H%M%S", "%Hh%M", "%Hh"),
)
_GLUE = (" ", "T", ":", ", ", "_", "-")
_TAILS = ("", " %z", "%z")
_SHAPES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}(?!\d)",
    "%m": r"\d{1,2}",
    "%d": r"\d{1,2}",
    "%H": r"\d{1,2}",
    "%I": r"\d{1,2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%f": r"\d{1,6}",
    "%p": r"[AaPp]\.?[Mm]\.?",
    "%b": r"[A-Za-z]{3}",
    "%B": r"[A-Za-z]{3,}",
    "%a": r"[A-Za-z]{3}",
    "%A": r"[A-Za-z]{3,}",
}
_TAIL_SHAPES = {"": "", " %z": r" [+-]\d{2}:?\d{2}", "%z": r"(?:Z|[+-]\d{2}:?\d{2})"}
_SYSLOG = tuple(f"%a %b %d %H:%M:%S {zone}%Y" for zone in ("", "UTC "))
_WHOLE = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SAMPLE = 40


def matching_formats(texts: "pd.Series[str]") -> list[str]:
    """Returns the strptime formats that read every text as a moment; if several do, only those that read ascending times.

    Formats that read equal times are returned once.

    Args:
        texts: (T,) cells, of which empty ones are left out.

    Example:
        >>> matching_formats(pd.Series(["01-Mar-2024 11:00 PM", "02-Mar-2024 12:00 AM"]))
        ['%d-%b-%Y %I:%M %p']
    """
    cells = texts.dropna().astype("str").str.strip()
    if cells.empty:
        return []
    sample = [*cells.iloc[:_SAMPLE], *cells.iloc[-_SAMPLE:]]
    readings: dict[str, pd.Series[Any]] = {}
    for form in _formats(sample[0]):
        if all(_reads(form, cell) for cell in sample):
            times = pd.to_datetime(cells, format=form, errors="coerce", utc=True)
            if times.notna().all() and not any(times.equals(other) for other in readings.values()):
                readings[form] = times
    if len(readings) > 1:
        ascending = [
            form for form, times in readings.items() if times.is_monotonic_increasing and (times != times.iloc[0]).any()
        ]
        return ascending or list(readings)
    return list(readings)


def _formats(cell: str) -> Iterator[str]:
    """Yields the formats that have the shape of a cell: as many digits and words, and the same marks between them."""
    for date in _DATES:
        match = re.match(_shape(date), cell)
        if match is None:
            continue
        rest = cell[match.end() :]
        if not rest:
            yield date
        for glue in (*_GLUE, *[""] * (date == "%Y%m%d")):
            if rest.startswith(glue):
                yield from (
                    f"{date}{glue}{clock}{tail}"
                    for clock, tail in product(_CLOCKS, _TAILS)
                    if re.fullmatch(_shape(clock) + _TAIL_SHAPES[tail], rest[len(glue) :])
                )
    yield from (form for form in _SYSLOG if re.fullmatch(_shape(form), cell))


@cache
def _shape(form: str) -> str:
    """Returns the pattern of the texts that a format can read."""
    pattern, digits = (
        re.escape(form),
        form in {"%Y%m%d", "%H", "%H%M", "%H%M%S"},
    )  # without marks each has its two digits
    for directive, shape in _SHAPES.items():
        pattern = pattern.replace(directive, shape.replace("{1,2}", "{2}") if digits else shape)
    return pattern


def midnight_before(form: str, text: str) -> str | None:
    """Returns a text of hour 24 with hour 0 in its place; None for other texts.

    Example:
        >>> midnight_before("%d.%m.%Y %H:%M", "31.12.2023 24:00")
        '31.12.2023 00:00'
    """
    before, _, after = form.partition("%H")
    match = re.fullmatch(f"({_shape(before)})24({_shape(after)})", text)
    return match and f"{match[1]}00{match[2]}"


def _reads(form: str, text: str) -> bool:
    try:
        return 1900 < datetime.strptime(text, form).year < 2200
    except ValueError:
        return False


def number_format(numbers: Floats, *, named: bool = False) -> str | None:
    """Returns the time format of numbers that are dates written without marks, or days of a spreadsheet; None for others.

    Args:
        numbers: (T,) numbers, NaN where a cell is empty.
        named: Whether the column is called like a time, so that years and whole days of a spreadsheet count too.

    Example:
        >>> number_format(np.array([20190101.0, 20190102.0]))
        '%Y%m%d'
        >>> number_format(np.array([43466.25, 43466.5]))
        'excel'
    """
    present = numbers[~np.isnan(numbers)]
    if not len(present) or not np.isfinite(present).all():
        return None
    if (present == np.floor(present)).all() and (present > 0).all():
        digits = {len(str(int(number))) for number in (present.min(), present.max())}
        form = _WHOLE.get(digits.pop()) if len(digits) == 1 else None
        if form is not None and (len(form) > 4 or (named and form == "%Y" and present.max() < 2200)):
            texts = pd.Series(present.astype(np.int64)).astype("str")
            times = pd.to_datetime(texts, format=form, errors="coerce")
            if times.notna().all() and times.dt.year.between(1000 if form == "%Y" else 1900, 2199).all():
                return form
    fractions = named or (present != np.floor(present)).any()
    return EXCEL if fractions and _EXCEL_DAYS[0] <= present.min() and present.max() <= _EXCEL_DAYS[1] else None
