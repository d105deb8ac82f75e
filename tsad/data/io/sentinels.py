"""Numbers that stand for no value, such as -999 among temperatures, and times that no clock showed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from tsad.arrays import Flags, Floats, Integers
from tsad.data.io.answers import text_of
from tsad.data.io.issues import Cost, Issues, settings_text
from tsad.spec import Spec

_MACHINE_LIMITS = {float(2**power - 1) for power in (15, 16, 31, 32)} | {-float(2**power) for power in (15, 31)}
_HUGE = 1e18
_LEAST_CODE = 99.0
_PERHAPS_MEASURED = 900.0
"""Positive numbers below this, such as 99.9, are codes only if they repeat: one alone may be a peak, as of a percentage."""
_USUAL = 0.5
"""Fraction of the cells of a column that a code is, at most."""
_LEAST_MINUS_ONE = 2
_RARE_MINUS_ONE = 0.05
_UNKNOWN = (3, 0.1, 10, 20.0)
"""Of a number that is no usual code: least count, largest fraction, other numbers to differ, and ranges to be away from them."""
_CODES = 4
"""Codes of a column that are looked for, at most."""


class SentinelOptions(Spec):
    """Treatment of numbers that may stand for no value.

    Attributes:
        sentinels: Numbers such as -999, 9999, 65535 or 1e20 that are far from all others of their column, and a rare -1 among
            numbers that are never negative: `ask` whether they are empty cells, or `keep` them as measurements. Those in
            `empty` are empty cells.
    """

    sentinels: Literal["ask", "keep"] = "ask"


class Sentinel(NamedTuple):
    """A number that may stand for no value.

    Attributes:
        column: Index of its column.
        value: The number.
        repeats: Number of its cells.
        rest: Smallest and largest of the other numbers of the column.
    """

    column: int
    value: float
    repeats: int
    rest: tuple[float, float]


def judge_sentinels(cells: Floats, features: Sequence[str], numbers: Integers, issues: Issues) -> None:
    """Adds an issue about each number that may stand for no value; its fix reads it as empty wherever it is in the file.

    Args:
        cells: (T, F) values, NaN where a cell is empty.
        features: Names of the F columns.
        numbers: (T,) numbers of the rows, for messages.
        issues: Receives the issues.
    """
    sentinels = [item for column in range(cells.shape[1]) for item in _sentinels(column, cells[:, column])]
    for value, columns in Counter(item.value for item in sentinels).items():
        first = next(item for item in sentinels if item.value == value)
        equal = cells == value
        elsewhere = int(equal.sum()) - sum(item.repeats for item in sentinels if item.value == value)
        text = repr(value) if abs(value) >= _HUGE else text_of(value)
        fix = {"empty": [text]}
        row = numbers[int(equal[:, first.column].argmax())]
        more = f"; so have {columns - 1} other columns" if columns > 1 else ""
        advice = "data.sentinels=keep if they are measurements"
        if elsewhere:
            advice = f"{settings_text(fix)}, which would empty {elsewhere} cells of other columns too, or {advice}"
        issues.add(
            f"column {features[first.column]!r} has {first.repeats} cells of {text}, first at row {row}, far from its other "
            f"numbers ({first.rest[0]:g} to {first.rest[1]:g}){more}; they stand for no value, it seems",
            {} if elsewhere else fix,
            advice,
            Cost("cells emptied", int(equal.sum()), int((~np.isnan(cells)).any(axis=1).sum()) * columns),
        )


def _sentinels(column: int, cells: Floats) -> Iterator[Sentinel]:
    """Yields the numbers of a column that may stand for no value."""
    present = core = cells[~np.isnan(cells)]
    codes: list[float] = []
    while len(core) and len(codes) < _CODES:
        code = next((end for end in (float(core.min()), float(core.max())) if is_usual_code(end)), None)
        if code is None:
            break
        codes.append(code)
        core = core[core != code]
    if not len(core):
        return
    rest = (float(core.min()), float(core.max()))
    for code in codes:
        count = int((present == code).sum())
        least = _UNKNOWN[0] if 0 < code < _PERHAPS_MEASURED else 1
        if _distance(code, rest) > rest[1] - rest[0] and least <= count <= _USUAL * len(present):
            yield Sentinel(column, code, count, rest)
    for end in rest:
        others = core[core != end]
        count = len(core) - len(others)
        if len(others) and _is_unusual_code(end, count, others):
            yield Sentinel(column, end, count, (float(others.min()), float(others.max())))


def _distance(value: float, rest: tuple[float, float]) -> float:
    return max(rest[0] - value, value - rest[1])


def _is_unusual_code(value: float, count: int, others: Floats) -> bool:
    """Returns whether a number stands for no value beside others: a rare -1 among numbers from 0 on, or one far away."""
    total, low, high = count + len(others), float(others.min()), float(others.max())
    if value == -1 and low >= 0:
        return _LEAST_MINUS_ONE <= count <= _RARE_MINUS_ONE * total and len(np.unique(others)) > 2
    least, fraction, different, ranges = _UNKNOWN
    return (
        least <= count <= fraction * total
        and _distance(value, (low, high)) > ranges * (high - low)
        and len(np.unique(others)) > different
    )


def is_usual_code(value: float) -> bool:
    """Returns whether a number is one that programs write for no value: nines from 99 on, limits of integers, huge numbers.

    Example:
        >>> [value for value in (-999.0, 99.9, 9.9, 65535.0, 1e20, 990.0) if is_usual_code(value)]
        [-999.0, 99.9, 65535.0, 1e+20]
    """
    digits = set(repr(abs(value)).removesuffix(".0").replace(".", ""))
    return value in _MACHINE_LIMITS or abs(value) >= _HUGE or (abs(value) >= _LEAST_CODE and digits == {"9"})


# --- times ---


class StrayTimeOptions(Spec):
    """Treatment of rows whose times no clock showed.

    Attributes:
        stray_times: Rows, a hundredth of all or three, whose times are far from those of all others, such as 1970-01-01 or 2099:
            `error`, `drop` the rows, or `keep` them.
    """

    stray_times: Literal["error", "drop", "keep"] = "error"


_STRAY = (0.01, 3, 20)
"""Of rows of stray times: largest fraction, or number, and least number of rows that show where the others are."""
_AWAY = (2.0, 1000.0)
"""Spans, and median steps, of the other times that a stray one is away from them."""
_DEFAULTS = (
    "1601-01-01",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1904-01-01",
    "1970-01-01",
    "1980-01-06",
    "2038-01-19",
)
_DEFAULTS_AWAY = 0.25
_DAY = 86_400 * 10**9


def stray_times(nanoseconds: Integers) -> Flags:
    """Returns (T,) True where a time is far from those of all other rows.

    A time is, if it is away from them by more than twice their span and 1000 steps; a date that clocks begin with, such as
    1970-01-01, if it is away by a quarter of the span.
    """
    ascending = np.sort(nanoseconds)
    most = max(int(_STRAY[0] * len(ascending)), int(_STRAY[1]))
    core = ascending[most : len(ascending) - most]
    if len(core) < _STRAY[2]:
        return np.zeros(len(nanoseconds), bool)
    span, step = float(core[-1]) - float(core[0]), float(np.median(np.diff(core.astype(float))))
    away = np.maximum(core[0] - nanoseconds.astype(float), nanoseconds.astype(float) - core[-1])
    days = np.array(_DEFAULTS, "datetime64[D]").astype(np.int64)
    default = np.isin(nanoseconds // _DAY, days)
    far = (away > max(_AWAY[0] * span, _AWAY[1] * step)) | (default & (away > max(_DEFAULTS_AWAY * span, most * step)))
    return far if 0 < far.sum() <= most else np.zeros(len(nanoseconds), bool)


def judge_stray_times(
    stray: Flags, nanoseconds: Integers, numbers: Integers, options: StrayTimeOptions, issues: Issues
) -> None:
    """Adds the issue, or the repair, that rows have stray times."""
    times = pd.Series(nanoseconds.astype("datetime64[ns]")).dt.floor("s")
    row = int(stray.argmax())
    text = (
        f"{int(stray.sum())} rows have times far from all others, first row {numbers[row]} ({times[row]}; the others are from "
        f"{times[~stray].min()} to {times[~stray].max()})"
    )
    if options.stray_times == "drop":
        issues.add_repair(f"{text}; left out")
        return
    cost = Cost("rows left out", int(stray.sum()), len(stray))
    issues.add(text, {"stray_times": "drop"}, "correct them, or data.stray_times=keep if the times are right", cost)
