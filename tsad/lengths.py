"""Lengths that follow from the rows: how long a window, a smoothing and a normalization are where a config says `auto`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tsad.data.dataset import DataSet
from tsad.series import Series

AUTO = 0
"""Value of a length that is still to be derived from the rows; YAML says `auto`."""

AutoLength = Annotated[
    int,
    BeforeValidator(lambda value: AUTO if value == "auto" else value),
    PlainSerializer(lambda value: "auto" if value == AUTO else value),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "auto"}]}),
]
"""A number of rows, or `auto`."""

WINDOWS = (64, 32, 16, 8)
"""Windows that `auto` chooses from, the longest first; multi-scale models halve them up to three times."""
ROWS_PER_WINDOW = 25
"""Least number of training rows per row of a window: below it, a linear model of the window learns noise."""
SMOOTHING = {64: 10, 32: 5, 16: 5, 8: 3}
"""Rows that are averaged, by window."""
DAY_SECONDS = 86_400
USUAL_DAY = 1_440
"""Rows of a day where the step is unknown: a day of minutes."""
ROWS_PER_NORMALIZATION = 12
"""Least number of rows, of training and of test, per row of a normalization."""


@dataclass(frozen=True)
class Lengths:
    """Lengths in rows that suit a data set.

    Attributes:
        window: Length of a window.
        smoothing: Number of scores that are averaged.
        normalization: Number of earlier scores that a score is compared with; None where the rows are too few for one.
    """

    window: int
    smoothing: int
    normalization: int | None

    def __str__(self) -> str:
        compared = "no normalization, for which the rows are too few"
        if self.normalization is not None:
            compared = f"normalization over {self.normalization} rows"
        return f"window of {self.window} rows, smoothing over {self.smoothing}, {compared}"


def lengths(data: DataSet) -> Lengths:
    """Returns the lengths that suit a data set; they depend on its numbers of rows, its gaps and its step, and on no value.

    A window is the longest of `WINDOWS` that has `ROWS_PER_WINDOW` training rows for each of its rows, and that fits four
    times into the usual segment between gaps. A normalization is over a day, but four windows at least and a twelfth of the
    training and of the test rows at most.
    """
    edges = [*([entity.train for entity in data.entities] or [0]), len(data.train)]
    trained = min(after - first for first, after in pairwise(edges))
    segment = min(_usual_segment(data.train), _usual_segment(data.test))
    window = next(
        (length for length in WINDOWS if length * ROWS_PER_WINDOW <= trained and 4 * length <= segment), WINDOWS[-1]
    )
    day = USUAL_DAY if data.step_seconds is None else round(DAY_SECONDS / data.step_seconds)
    longest = min(trained, len(data.test), segment) // ROWS_PER_NORMALIZATION
    normalization = min(max(day, 4 * window), longest)
    return Lengths(window, SMOOTHING[window], normalization if normalization >= 4 * window else None)


def _usual_segment(series: Series) -> int:
    """Returns the length of a segment such that half of the rows are in one of that length or longer."""
    sizes = sorted((after - first for first, after in series.segments()), reverse=True)
    rows = 0
    for size in sizes:
        rows += size
        if 2 * rows >= len(series):
            return size
    return 0
