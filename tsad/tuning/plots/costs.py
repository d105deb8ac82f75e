"""Pictures of what a value costs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsad.arrays import Floats
from tsad.evaluation.plots.style import ALARM, INK, QUIET, empty_figure, finish, new_figure
from tsad.selection.trial import Trial
from tsad.tuning.analysis import valued
from tsad.tuning.pareto import front
from tsad.tuning.plots.value_axis import draw_floor

NAMED = 12
"""Members of a front that are named."""
_DECADES = 30
"""Ratio of the largest to the smallest cost from which on their axis is logarithmic."""


def costs(trials: Sequence[Trial]) -> list[str]:
    """Returns the metrics `cost/...` in which finished trials differ, in the order of their names."""
    names = sorted({name for trial in valued(trials) for name in trial.metrics if name.startswith("cost/")})
    return [name for name in names if len({trial.metrics[name] for trial in _known(trials, name)}) > 1]


def draw_pareto(trials: Sequence[Trial], minimize: Sequence[str], title: str) -> Figure:
    """Returns the value of finished trials over each cost, one panel a cost, the trials that no other beats in both joined.

    Up and left is better. The stair bounds what was reached; its members are named at the right, the best on top, at most
    `NAMED` of them, evenly taken. The axis is logarithmic if costs differ by a factor of 30, and linear next to 0.

    Args:
        trials: Those without the metric are left out of its panel.
        minimize: Names of metrics that should be small, such as `cost/parameters`.
        title: Above the picture.
    """
    shown = [name for name in minimize if _known(trials, name)]
    if not shown:
        return empty_figure(title, "no finished trial has these costs")
    figure = new_figure(0.8 + 3.2 * len(shown))
    for axes, name in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        _draw_panel(axes, _known(trials, name), name)
    return finish(figure, title)


def _known(trials: Sequence[Trial], name: str) -> list[Trial]:
    return [trial for trial in valued(trials) if math.isfinite(trial.metrics.get(name, math.nan))]


def _draw_panel(axes: Axes, trials: Sequence[Trial], name: str) -> None:
    cost = np.array([trial.metrics[name] for trial in trials])
    heights = draw_floor(axes, trials)
    axes.scatter(cost, heights, s=24, color=INK, alpha=0.55, linewidth=0, label="finished trial")
    members = [trials.index(trial) for trial in front(trials, [name])]  # the most expensive first
    x, y = cost[members], heights[members]
    axes.plot([cost.max(), *x], [y[0], *y], drawstyle="steps-pre", color=ALARM, linewidth=1.6, label="front")
    axes.scatter(x, y, s=42, color=ALARM, zorder=3)
    _scale(axes, cost)
    axes.set(xlabel=name.removeprefix("cost/"), ylabel="value")
    _write_names(axes, [trials[place].candidate.name for place in members], x, y)


def _scale(axes: Axes, cost: Floats) -> None:
    """Makes the axis of costs over decades logarithmic; linear between 0 and the smallest above it, if 0 is among them."""
    positive = cost[cost > 0]
    if cost.min() < 0 or not len(positive) or positive.max() < _DECADES * positive.min():
        return
    if len(positive) == len(cost):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=positive.min(), linscale=0.4)
        axes.set_xlim(-0.3 * positive.min(), 1.5 * positive.max())


def _write_names(axes: Axes, names: Sequence[str], x: Floats, y: Floats) -> None:
    """Writes names at the right, as high as their points but apart from each other, a thin line to each point."""
    low, high = axes.get_ylim()
    picked = np.unique(np.linspace(0, len(names) - 1, NAMED).round().astype(int))
    heights = _apart((y[picked] - low) / (high - low), 1 / NAMED)
    for place, height in zip(picked, heights, strict=True):
        axes.annotate(
            names[place],
            (x[place], y[place]),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.5, "shrinkB": 4},
        )


def _apart(heights: Floats, gap: float) -> list[float]:
    """Returns descending heights, moved so that neighbors are `gap` apart or more, between 0 and 1 if they fit there."""
    found: list[float] = heights.tolist()
    for place in range(1, len(found)):
        found[place] = min(found[place], found[place - 1] - gap)
    if found and found[-1] < 0:
        found[-1] = 0.0
        for place in reversed(range(len(found) - 1)):
            found[place] = max(found[place], found[place + 1] + gap)
    return found
