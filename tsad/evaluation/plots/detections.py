"""The picture of a scored series of any length, which comes chunk by chunk: what is kept of it does not grow with it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.evaluation.plots.style import (
    INK,
    Values,
    draw_points,
    extremes,
    finish,
    is_heavy,
    lowest_shown,
    name_panel,
    new_figure,
    number_rows,
    shade_rows,
    threshold_name,
)
from tsad.series import runs

THRESHOLD = "#b35900"


class LongLine:
    """The lowest and the highest of each `size` rows of a series.

    Args:
        size: Rows that share a pixel; 1 keeps them all.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[Floats] = []

    def take(self, first: int, values: Values) -> None:
        """Takes the (n,) values of rows `first`, `first` + 1, ...; what is not finite leaves a gap."""
        finite = np.where(np.isfinite(values), values, np.nan)
        rows = extremes(finite, self._size)
        self._rows.append(first + rows)
        self._values.append(finite[rows])

    @property
    def points(self) -> tuple[NDArray[np.int64], Floats]:
        """Rows and their values, ascending."""
        return np.concatenate([np.empty(0, np.int64), *self._rows]), np.concatenate([np.empty(0), *self._values])


class Shades:
    """Stretches of flags, those within `size` rows of each other as one.

    Args:
        size: Rows that share a pixel; 1 keeps the stretches as they are.

    Attributes:
        flagged: Rows that are.
        events: Stretches, before any were joined.
        stretches: First row and row after the last of what is to be shaded.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last = -2
        self.flagged = 0
        self.events = 0
        self.stretches: list[tuple[int, int]] = []

    def take(self, first: int, flags: Flags) -> None:
        """Takes the (n,) flags of rows `first`, `first` + 1, ..., which follow those before."""
        for start, stop in runs(flags):
            self.events += first + start > self._last + 1
            self._last = first + stop - 1
        self.flagged += int(flags.sum())
        count = -(-len(flags) // self._size)
        table = np.pad(flags, (0, count * self._size - len(flags))).reshape(count, self._size)
        for start, stop in runs(np.asarray(table.any(axis=1))):
            segment = (first + start * self._size, first + min(stop * self._size, len(flags)))
            if self.stretches and self.stretches[-1][1] == segment[0]:
                segment = (self.stretches.pop()[0], segment[1])
            self.stretches.append(segment)


class Detections:
    """Data for the picture of a scored series: features, scores, thresholds and flags of consecutive rows.

    Args:
        features: Names of those that may be drawn.
        size: Rows that share a pixel; 1 keeps them all.

    Attributes:
        shades: Shaded stretches of the flags.
        rows: First row and row after the last that has come; None before.
    """

    def __init__(self, features: Sequence[str], size: int) -> None:
        self.shades = Shades(size)
        self.rows: tuple[int, int] | None = None
        self._lines = {name: LongLine(size) for name in features}
        self._score, self._threshold = LongLine(size), LongLine(size)
        self._lowest_flagged, self._highest_other = np.inf, -np.inf
        self._shares: Counter[str] = Counter()
        self._moves: Counter[str] = Counter()

    def take_values(self, first: int, values: Values) -> None:
        """Takes the (n, F) values of rows `first`, `first` + 1, ..."""
        for (name, line), column in zip(self._lines.items(), values.T, strict=True):
            line.take(first, column)
            self._moves[name] += int((np.diff(column) != 0).sum())

    def take_scores(self, first: int, scored: pd.DataFrame) -> None:
        """Takes what became known of rows `first`, `first` + 1, ...

        Args:
            first: Number of the first of them.
            scored: `score`, NaN where there is none; `flag`; if they are known, `threshold`, and which features explain a row,
                `feature_1`, `share_1`, ... Without thresholds, the lowest flagged score is drawn if no other one is above it.
        """
        scores, flags = scored["score"].to_numpy(np.float64), scored["flag"].to_numpy(bool)
        self.rows = (first if self.rows is None else self.rows[0], first + len(scores))
        self._score.take(first, scores)
        self.shades.take(first, flags)
        if "threshold" in scored:
            self._threshold.take(first, scored["threshold"].to_numpy(np.float64))
        for share in scored.columns[scored.columns.str.startswith("share_")]:
            feature = scored.loc[flags, share.replace("share", "feature")]
            self._shares.update(scored.loc[flags, share].groupby(feature).sum().to_dict())
        self._lowest_flagged = float(np.nanmin(scores[flags], initial=self._lowest_flagged))
        self._highest_other = float(np.nanmax(scores[~flags], initial=self._highest_other))

    def involved(self, count: int) -> list[str]:
        """Returns the features that gave most to flagged rows, or if that is unknown, those that change most often."""
        explained = {name: self._shares[name] for name in self._lines if self._shares[name] > 0}
        return [name for name, _ in Counter(explained or self._moves).most_common(count)]

    def draw(self, features: Sequence[str], title: str) -> Figure:
        """Returns some features one above the other, then the score and its threshold; flagged stretches are red in all of them.

        The axis of the score is logarithmic if the highest is 50 times the median one.
        """
        heights = [*[1.0] * len(features), 1.6]
        figure = new_figure(1.3 + 0.8 * sum(heights))
        panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, name in zip(panels, features, strict=False):
            draw_points(axes, *self._lines[name].points, color=INK)
            name_panel(axes, name)
        rows, scores = self._score.points
        draw_points(panels[-1], rows, scores, color="black")
        self._draw_threshold(panels[-1])
        if is_heavy(scores):
            panels[-1].set_yscale("log")
            panels[-1].set_ylim(bottom=lowest_shown(scores))
            panels[-1].set_ylabel("score", fontsize=9)
        else:
            name_panel(panels[-1], "score")
        for axes in panels:
            shade_rows(axes, self.shades.stretches, label="flagged")
        number_rows(panels[-1], *(self.rows or (0, 0)))
        panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        return finish(figure, title)

    def _draw_threshold(self, axes: Axes) -> None:
        rows, thresholds = self._threshold.points
        if len(thresholds):
            draw_points(
                axes, rows, thresholds, "--", color=THRESHOLD, width=1.2, label=threshold_name(thresholds, "nothing")
            )
        elif self._highest_other < self._lowest_flagged < np.inf:
            name = f"lowest flagged score {self._lowest_flagged:.4g}"
            axes.axhline(self._lowest_flagged, linestyle="--", color=THRESHOLD, linewidth=1.2, label=name)
