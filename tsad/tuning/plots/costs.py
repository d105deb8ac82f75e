"""Figures of values against costs."""

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
"""Largest number of members of a front that are named."""
_LOG_RATIO = 30
"""Ratio of the largest to the smallest cost from which the axis of costs is logarithmic."""


def costs(trials: Sequence[Trial]) -> list[str]:
    """Returns the names of the metrics `cost/...` in which finished trials differ, in alphabetical order."""
    names = sorted({name for trial in valued(trials) for name in trial.metrics if name.startswith("cost/")})
    return [name for name in names if len({trial.metrics[name] for trial in _with_cost(trials, name)}) > 1]


def draw_pareto(trials: Sequence[Trial], minimize: Sequence[str], title: str) -> Figure:
    """Returns a figure of the value of finished trials over each cost, one panel per cost, with the Pareto front.

    Up and left is better. A stair joins the trials that no other beats in value and cost. They are named at the right, the
    best at the top, at most `NAMED` of them, evenly chosen. The axis is logarithmic if the largest cost is 30 times the
    smallest, and linear near 0.

    Args:
        trials: Trials in any order; those without the metric are left out of its panel.
        minimize: Names of the costs, such as `cost/parameters`.
        title: Title of the figure.
    """
    shown = [name for name in minimize if _with_cost(trials, name)]
    if not shown:
        return empty_figure(title, "no finished trial has these costs")
    figure = new_figure(0.8 + 3.2 * len(shown))
    for axes, name in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        _draw_panel(axes, _with_cost(trials, name), name)
    return finish(figure, title)


def _with_cost(trials: Sequence[Trial], name: str) -> list[Trial]:
    """Returns the finished trials that have a value and the cost."""
    return [trial for trial in valued(trials) if math.isfinite(trial.metrics.get(name, math.nan))]


def _draw_panel(axes: Axes, trials: Sequence[Trial], name: str) -> None:
    cost = np.array([trial.metrics[name] for trial in trials])
    values = draw_floor(axes, trials)
    axes.scatter(cost, values, s=24, color=INK, alpha=0.55, linewidth=0, label="finished trial")
    members = [trials.index(trial) for trial in front(trials, [name])]  # the most expensive first
    x, y = cost[members], values[members]
    axes.plot([cost.max(), *x], [y[0], *y], drawstyle="steps-pre", color=ALARM, linewidth=1.6, label="front")
    axes.scatter(x, y, s=42, color=ALARM, zorder=3)
    _scale(axes, cost)
    axes.set(xlabel=name.removeprefix("cost/"), ylabel="value")
    _write_names(axes, [trials[index].candidate.name for index in members], x, y)


def _scale(axes: Axes, cost: Floats) -> None:
    """Makes the axis of costs logarithmic if they differ much; linear between 0 and the smallest positive cost, if 0 occurs."""
    positive = cost[cost > 0]
    if cost.min() < 0 or not len(positive) or positive.max() < _LOG_RATIO * positive.min():
        return
    if len(positive) == len(cost):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=positive.min(), linscale=0.4)
        axes.set_xlim(-0.3 * positive.min(), 1.5 * positive.max())


def _write_names(axes: Axes, names: Sequence[str], x: Floats, y: Floats) -> None:
    """Writes names at the right, each near the height of its point without overlap, with a thin line to the point."""
    low, high = axes.get_ylim()
    chosen = np.unique(np.linspace(0, len(names) - 1, NAMED).round().astype(int))
    positions = _spaced((y[chosen] - low) / (high - low), 1 / NAMED)
    for index, position in zip(chosen, positions, strict=True):
        axes.annotate(
            names[index],
            (x[index], y[index]),
            xytext=(1.03, position),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.5, "shrinkB": 4},
        )


def _spaced(positions: Floats, gap: float) -> list[float]:
    """Returns descending positions, moved so that neighbors are at least `gap` apart, between 0 and 1 if they fit there."""
    moved: list[float] = positions.tolist()
    for index in range(1, len(moved)):
        moved[index] = min(moved[index], moved[index - 1] - gap)
    if moved and moved[-1] < 0:
        moved[-1] = 0.0
        for index in reversed(range(len(moved) - 1)):
            moved[index] = max(moved[index], moved[index + 1] + gap)
    return moved
