"""Style that all pictures share: size, colors, shades, and thinning of a long series."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.provenance import LabelsUsed
from tsad.series import runs

Legend = Literal["outside lower center", "outside right upper"]
Values = NDArray[np.floating]

INK, ALARM, QUIET = "#1f4e79", "#d62728", "#767676"
AMBER, GREEN, PINK = "#e69f00", "#009e73", "#cc79a7"
WIDTH, DPI = 9.0, 120
BUCKETS = 1000
"""Stretches of a thinned series: about the pixels that a picture is wide."""


def new_figure(height: float) -> Figure:
    """Returns an empty figure, `height` inches high."""
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def finish(figure: Figure, title: str, legend: Legend = "outside lower center") -> Figure:
    """Returns the figure with its title, its quiet axes, and one legend of all that was labeled, beside the axes."""
    figure.suptitle(title, fontsize=11)
    figure.align_ylabels()
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    handles = {
        name: handle for axes in figure.axes for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        columns = 5 if "lower" in legend else 1
        figure.legend(list(handles.values()), list(handles), loc=legend, ncols=columns, frameon=False, fontsize=9)
    return figure


def empty_figure(title: str, reason: str) -> Figure:
    """Returns a figure that says why there is nothing to draw."""
    figure = new_figure(1.6)
    figure.subplots().text(0.5, 0.5, f"nothing to draw: {reason}", ha="center", va="center", color=QUIET)
    figure.axes[0].set_axis_off()
    return finish(figure, title)


def undefined(scores: Floats, labels: Flags | None) -> str | None:
    """Returns why no picture of scores against labels can be drawn, or None if it can."""
    if labels is None:
        return "no labels"
    scored_labels = labels[~np.isnan(scores)]
    if not len(scored_labels):
        return "no row has a score"
    if scored_labels.all() or not scored_labels.any():
        return f"all {len(scored_labels)} rows are {'anomalous' if scored_labels.all() else 'normal'}"
    return None


def thinned(values: Values) -> NDArray[np.int64]:
    """Returns the rows, ascending, that have to be drawn: the lowest and highest of each of `BUCKETS` stretches of (T,) values.

    A stretch without a value (NaN) keeps its first row, so that the gap stays. All rows if they are few.
    """
    rows = len(values)
    return np.arange(rows) if rows <= 2 * BUCKETS else extremes(values, -(-rows // BUCKETS))


def extremes(values: Values, size: int) -> NDArray[np.int64]:
    """Returns the rows, ascending, of the lowest and highest of each stretch of `size` of (T,) values; the last is shorter.

    A stretch without a value (NaN) keeps its first row, so that the gap stays.
    """
    count = -(-len(values) // size)
    table = np.pad(values, (0, count * size - len(values)), constant_values=np.nan).reshape(count, size)
    missing = np.isnan(table)
    lowest = np.where(missing, np.inf, table).argmin(axis=1)
    highest = np.where(missing, -np.inf, table).argmax(axis=1)
    return np.unique(np.stack([lowest, highest]) + np.arange(count) * size)


def draw_line(
    axes: Axes, values: Values, style: str = "-", *, color: str, width: float = 0.8, label: str = "", first: int = 0
) -> None:
    """Draws (T,) values over rows `first`, `first` + 1, ..., thinned."""
    rows = thinned(values)
    draw_points(axes, first + rows, values[rows], style, color=color, width=width, label=label)


def draw_points(
    axes: Axes,
    rows: NDArray[np.int64],
    values: Values,
    style: str = "-",
    *,
    color: str,
    width: float = 0.8,
    label: str = "",
) -> None:
    """Draws values over their rows; few get dots, since one alone makes no line."""
    marker = "." if len(values) < 100 and style == "-" else ""
    axes.plot(rows, values, style, color=color, linewidth=width, marker=marker, label=label)


def shade(
    axes: Axes, flags: Flags | None, *, label: str = "", color: str = ALARM, alpha: float = 0.22, first: int = 0
) -> None:
    """Shades the stretches of (T,) flags from bottom to top; a single row of a long series shows too."""
    segments = [] if flags is None else [(first + start, first + stop) for start, stop in runs(flags)]
    shade_rows(axes, segments, label=label, color=color, alpha=alpha)


def shade_rows(
    axes: Axes, stretches: Sequence[tuple[int, int]], *, label: str = "", color: str = ALARM, alpha: float = 0.22
) -> None:
    """Shades stretches of rows, each given by its first row and the row after its last."""
    spans = [(start - 0.5, stop - start) for start, stop in stretches]
    if spans:
        across = axes.get_xaxis_transform()
        axes.broken_barh(spans, (0, 1), transform=across, color=color, alpha=alpha, linewidth=1, label=label, zorder=0)


def number_rows(axes: Axes, start: int, stop: int) -> None:
    """Gives an axes the x-axis of rows `start` to `stop` (exclusive)."""
    axes.set(xlabel="row", xlim=(start - 0.5, stop - 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def name_panel(axes: Axes, name: str) -> None:
    """Writes a name beside a small panel, shortened if it is long."""
    shown = name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
    axes.set_ylabel(shown, rotation=0, ha="right", va="center", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="y", nbins=3)


def is_heavy(scores: Floats) -> bool:
    """Returns whether scores span so much that only a logarithmic axis shows them: the highest is 50 times the median."""
    positive = scores[scores > 0]  # a comparison with NaN is False
    return len(positive) > 0 and bool(positive.max() > 50 * np.median(positive))


def lowest_shown(scores: Floats) -> float:
    """Returns where a logarithmic axis of heavy scores begins: a few scores next to 0 must not take up most of it."""
    return 0.7 * float(np.quantile(scores[scores > 0], 0.001))


def threshold_name(thresholds: Floats, threshold_from: LabelsUsed) -> str:
    """Returns the name of (T,) thresholds in a legend, such as "threshold 2.5" or "oracle threshold 1 to 9"."""
    ends = sorted({f"{thresholds.min():.4g}", f"{thresholds.max():.4g}"}, key=float)
    return f"{'oracle threshold' if threshold_from == 'test' else 'threshold'} {' to '.join(ends)}"


def mark_thresholds(axes: Axes, thresholds: Floats | None, threshold_from: LabelsUsed) -> None:
    """Marks (T,) thresholds on an x-axis of scores: one as a dashed line, several as a band from lowest to highest."""
    if thresholds is None or not len(thresholds):
        return
    name = threshold_name(thresholds, threshold_from)
    if thresholds.min() == thresholds.max():
        axes.axvline(thresholds[0], color="black", linestyle="--", linewidth=1.2, label=name)
    else:
        axes.axvspan(thresholds.min(), thresholds.max(), color="black", alpha=0.12, linewidth=0, label=name)
