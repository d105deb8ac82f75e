"""Numbers that follow from the rows: what `auto` stands for in the lengths and sizes of a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tsad.data.dataset import DataSet
from tsad.detector.scoring import RollingMedianNormalization
from tsad.series import Series
from tsad.windows import WindowSpec

AUTO = "auto"
"""Word in YAML in place of a number that follows from the rows."""

WINDOWS = (64, 32, 16, 8)
"""Windows that `auto` chooses from, the longest first; multi-scale models halve them up to three times."""
ROWS_PER_WINDOW = 25
"""Least number of training rows per row of a window: below it, a linear model of the window learns noise."""
SMOOTHING = {64: 10, 32: 5, 16: 5, 8: 3}
"""Rows that are averaged, by window."""
DAY_SECONDS = 86_400
USUAL_DAY = 1_440
"""Rows of a day where the step is unknown: a day of minutes."""
ORDER, ROWS_PER_INPUT, MOST_INPUTS = 5, 3, 4096
"""Rows that the autoregressive ridge looks back, least training rows for each value of a feature in them, and most values."""
ROWS_PER_NORMALIZATION = 17
"""Least number of rows per row of a normalization, so that a third of the validation rows is longer than one."""


@dataclass(frozen=True)
class Lengths:
    """Lengths in rows that suit a data set.

    Attributes:
        window: Length of a window.
        smoothing: Number of scores that are averaged.
        normalization: Number of earlier scores that a score is compared with; None where the rows are too few for one.
        features: Number of features.
        rows: Number of training rows.
    """

    window: int
    smoothing: int
    normalization: int | None
    features: int
    rows: int

    @property
    def order(self) -> int:
        """Rows that the autoregressive ridge looks back: 5, fewer with many features and few rows."""
        fewest = max(1, self.rows // (ROWS_PER_INPUT * self.features))
        return max(1, min(ORDER, fewest, MOST_INPUTS // self.features))

    @property
    def penalty(self) -> float:
        """Penalty of the autoregressive ridge: 1, or the number of its inputs where rows are few for them.

        As many inputs as that explain a unit of variance together have coefficients of variance 1 / inputs, and the noise has
        a variance of up to 1: their ratio is the penalty of the most probable coefficients.
        """
        inputs = self.order * self.features
        return 1.0 if self.order == ORDER and ROWS_PER_INPUT * inputs <= self.rows else float(inputs)

    def __str__(self) -> str:
        compared = "no normalization, for which the rows are too few"
        if self.normalization is not None:
            compared = f"normalization over {self.normalization} rows"
        return f"window of {self.window} rows, smoothing over {self.smoothing}, {compared}"


def lengths(data: DataSet) -> Lengths:
    """Returns the lengths that suit a data set; they depend on its numbers of rows, its gaps and its step, and on no value.

    A window is the longest of `WINDOWS` that has `ROWS_PER_WINDOW` training rows for each of its rows, and that fits four
    times into the usual segment between gaps. A normalization is over a day, but four windows at least and a seventeenth of the
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
    fits = normalization >= 4 * window
    return Lengths(
        window, SMOOTHING[window], normalization if fits else None, len(data.train.features), len(data.train)
    )


def _usual_segment(series: Series) -> int:
    """Returns the length of a segment such that half of the rows are in one of that length or longer."""
    sizes = sorted((after - first for first, after in series.segments()), reverse=True)
    rows = 0
    for size in sizes:
        rows += size
        if 2 * rows >= len(series):
            return size
    return 0


PLACEHOLDER = Lengths(window=64, smoothing=10, normalization=USUAL_DAY, features=8, rows=100_000)
"""Lengths with which a config is checked before its rows are read."""


def has_auto(values: Any) -> bool:
    """Returns whether plain values say `auto` anywhere."""
    if isinstance(values, Mapping):
        return any(map(has_auto, values.values()))
    return any(map(has_auto, values)) if isinstance(values, list | tuple) else bool(values == AUTO)


def filled(values: Mapping[str, Any], size: Lengths) -> dict[str, Any]:
    """Returns the plain values of an experiment or of a search space with numbers in place of `auto`.

    `auto` may stand for `window.length`, `smooth.length` and `normalization.length`; for `components`, `row_components` and
    `halvings` of the linear models, which must not explain all that a window holds; for `order` and `penalty` of the
    autoregressive ridge, which must not learn the noise of many features by heart; and for `split.gap`, the rows that the
    longest score of all looks at. A rolling normalization that the rows are too few for becomes none; members that are
    equal then count once.

    Args:
        values: Plain values, with choices and ranges in a search space.
        size: Lengths that suit the rows.
    """
    result: dict[str, Any] = _filled(values, size, ())
    if isinstance(members := result.get("members"), list):
        result["members"] = [member for index, member in enumerate(members) if member not in members[:index]]
    split = result.get("split")
    if isinstance(split, Mapping) and split.get("gap") == AUTO:
        result["split"] = {**split, "gap": reach(result)}
    return result


def _filled(node: Any, size: Lengths, path: tuple[str, ...]) -> Any:
    """Returns a node at a path of keys, those of choices left out."""
    if isinstance(node, Mapping):
        if path[-1:] == ("normalization",) and node.get("length") == AUTO and size.normalization is None:
            return {"kind": "none"}
        children = {
            name: _filled(child, size, path if name == "choice" else (*path, name)) for name, child in node.items()
        }
        none = ("normalization", {"kind": "none"})  # the default
        return {name: child for name, child in children.items() if (name, child) != none}
    if isinstance(node, list | tuple):
        return [_filled(child, size, path) for child in node]
    return _number(size, path) if node == AUTO else node


def _number(size: Lengths, path: tuple[str, ...]) -> Any:
    """Returns the number that `auto` stands for at a path; `auto` itself where it stands for none, or not yet."""
    values = size.window * size.features
    numbers: dict[tuple[str, ...], float | None] = {
        ("window", "length"): size.window,
        ("smooth", "length"): size.smoothing,
        ("normalization", "length"): size.normalization,
        ("model", "components"): max(1, min(16, values // 4)),
        ("model", "row_components"): max(1, min(2, size.features // 2)),
        ("model", "order"): size.order,
        ("model", "penalty"): size.penalty,
        ("model", "halvings"): max(0, size.window.bit_length() - 4),  # eight rows are the shortest window
    }
    return numbers.get(path[-2:], AUTO)


def reach(values: Mapping[str, Any]) -> int:
    """Returns how many rows the longest score of an experiment or of a search space looks at: the last row included.

    Args:
        values: Plain values without `auto` lengths; of a search space, the longest options of its sections are added up.
    """
    members = values.get("members")
    sections = (
        [member for member in members if isinstance(member, Mapping)] if isinstance(members, list | tuple) else []
    )
    if sections:
        return max(map(reach, sections))
    window = max(_lengths(values, "window"), default=WindowSpec().length)
    smoothing = max(_lengths(values, "smooth"), default=1)
    return window + smoothing - 1 + max(_lengths(values, "normalization"), default=0)


def _lengths(node: Any, role: str, *, inside: bool = False) -> list[int]:
    """Returns every `length` of the sections of a role."""
    if isinstance(node, list | tuple):
        return [length for child in node for length in _lengths(child, role, inside=inside)]
    if not isinstance(node, Mapping):
        return []
    lengths_there: list[int] = []
    if inside and node.get("kind") == "rolling_median" and "length" not in node:
        lengths_there.append(RollingMedianNormalization(kind="rolling_median").length)
    for name, child in node.items():
        if inside and name == "length":
            lengths_there += _numbers(child)
        else:
            lengths_there += _lengths(child, role, inside=inside or name == role)
    return lengths_there


def _numbers(node: Any) -> list[int]:
    """Returns a number, or those of a choice or range."""
    if isinstance(node, Mapping):
        return [number for name in ("choice", "range") for number in node.get(name, ()) if isinstance(number, int)]
    return [node] if isinstance(node, int) else []  # anything else is refused where the values are parsed
