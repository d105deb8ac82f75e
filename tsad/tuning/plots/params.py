"""Figures of hyperparameters: which values good trials have, and how important each hyperparameter is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsad.arrays import Floats
from tsad.evaluation.intervals import Interval
from tsad.evaluation.plots.style import ALARM, AMBER, GREEN, INK, QUIET, empty_figure, finish, new_figure
from tsad.selection.trial import Trial
from tsad.tuning.analysis import valued
from tsad.tuning.plots.value_axis import shown_values
from tsad.tuning.space import ChoiceParam, Param, Space, param_names, param_value

SHOWN = 14
"""Largest number of hyperparameters in a figure."""
_INACTIVE, _START = 0.0, 0.13
"""Horizontal position of inactive hyperparameters, and the position at which values start; they end at 1."""
_BEST = (ALARM, AMBER, GREEN)
"""Colors of the best trials."""


def differing(trials: Sequence[Trial], space: Space) -> list[str]:
    """Returns the addresses of hyperparameters with two values or more among the trials."""
    return [
        address
        for address in space.params
        if len({trial.candidate.params[address] for trial in trials if address in trial.candidate.params}) > 1
    ]


def draw_parallel_coordinates(trials: Sequence[Trial], space: Space, title: str) -> Figure:
    """Returns a figure with a row for each hyperparameter, one for the value, and a line through them for each finished trial.

    Hyperparameters are rows and not columns, so that names and options can be read. The darker a line, the better the trial;
    the best three are thick and named. The line of a trial in which a hyperparameter is inactive passes at the left. At most
    `SHOWN` hyperparameters with different values are shown, the first ones of the space. Lines are spread a little, so that equal
    values can be seen. Values far below the median are drawn at the low end of the bottom row.

    Args:
        trials: Trials in any order; those that did not finish are left out.
        space: Search space of the trials.
        title: Title of the figure.
    """
    finished = sorted(valued(trials), key=lambda trial: trial.rank)
    shown = differing(finished, space)[:SHOWN]
    if not shown:
        return empty_figure(title, "no hyperparameter has two values among the finished trials")
    names = [_cut(param_names(space)[address], 24) for address in shown]
    rows = list(range(len(shown), -1, -1))
    figure = new_figure(1.6 + 0.52 * len(rows))
    axes = figure.subplots()
    conditional = False
    for address, row in zip(shown, rows, strict=False):
        inactive = any(address not in trial.candidate.params for trial in finished)
        conditional |= inactive
        axes.plot([_START, 1], [row, row], color=QUIET, linewidth=0.8, zorder=1)
        _write_options(axes, space.params[address], row)
    values, lowest = shown_values(finished)
    _write_values(axes, values, lowest)
    positions = np.column_stack(
        [
            *(_positions(finished, address, space.params[address]) for address in shown),
            _scaled(np.maximum(values, lowest)),
        ]
    )
    positions[:, :-1] += np.random.default_rng(0).uniform(-0.012, 0.012, (len(finished), len(shown)))
    _draw_lines(axes, finished, positions, rows)
    if conditional:
        axes.axvspan(_INACTIVE - 0.03, _INACTIVE + 0.03, color=QUIET, alpha=0.12, linewidth=0)
        axes.text(_INACTIVE, len(shown) + 0.35, "not used", ha="center", va="bottom", fontsize=9, color=QUIET)
    axes.set(yticks=rows, yticklabels=[*names, "value"], xticks=[], xlim=(-0.05 if conditional else 0.08, 1.05))
    axes.set_ylim(-0.6, len(shown) + 0.4)
    axes.tick_params(axis="y", length=0, labelsize=10)
    finish(figure, title)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
    return figure


def draw_importance(explained: Mapping[str, Interval], space: Space, title: str) -> Figure:
    """Returns a figure with a bar for each of the `SHOWN` most important hyperparameters and its 95 % interval, largest on top.

    Args:
        explained: Importance by address, as `tsad.tuning.analysis.importance` returns it.
        space: Search space of the hyperparameters.
        title: Title of the figure.
    """
    if not explained:
        return empty_figure(title, "too few finished trials to tell")
    names = param_names(space)
    ordered = sorted(explained.items(), key=lambda item: item[1].value)[-SHOWN:]
    values, low, high = np.array([fraction for _, fraction in ordered]).T
    figure = new_figure(1.4 + 0.34 * len(ordered))
    axes = figure.subplots()
    bars = [_cut(names[address], 30) for address, _ in ordered]
    axes.barh(bars, values, color=INK, alpha=0.75, height=0.6)
    axes.hlines(bars, low, high, color="black", linewidth=1.4, label="95 % interval, over trials")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("fraction of the variance of the value's ranks that the hyperparameter explains")
    finish(figure, title)
    axes.grid(visible=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelsize=10)
    return figure


def _draw_lines(axes: Axes, trials: Sequence[Trial], positions: Floats, rows: Sequence[int]) -> None:
    """Draws the lines of trials, which are best first, in reverse order, so that the best is on top."""
    shade = (positions[:, -1] - _START) / (1 - _START)
    colors = colormaps["YlGnBu"](0.2 + 0.8 * shade)
    alpha = float(np.clip(25 / len(trials), 0.25, 0.8))
    for index in reversed(range(len(trials))):
        best = index < len(_BEST)
        axes.plot(
            positions[index],
            rows,
            color=_BEST[index] if best else colors[index],
            alpha=1.0 if best else alpha,
            linewidth=2.6 - 0.4 * index if best else 1.1,
            zorder=3 if best else 2,
        )
    for trial, color in zip(trials, _BEST, strict=False):
        axes.plot([], [], color=color, linewidth=2.6, label=f"{trial.value:.3f}  {trial.candidate.name}")


def _positions(trials: Sequence[Trial], address: str, param: Param) -> Floats:
    """Returns the position at which each trial crosses the row of a hyperparameter."""
    return np.array([_position(param, trial.candidate.params.get(address)) for trial in trials])


def _position(param: Param, value: Any) -> float:
    if value is None:
        return _INACTIVE
    if isinstance(param, ChoiceParam):
        return _START + (1 - _START) * float(value) / max(1, len(param.choice) - 1)
    low, high, number = np.log([*param.range, value]) if param.log else np.array([*param.range, value], float)
    return float(_START + (1 - _START) * (number - low) / (high - low))


def _write_options(axes: Axes, param: Param, row: float) -> None:
    """Writes the options of a choice, or the ends and the middle of a range, below its row."""
    if isinstance(param, ChoiceParam):
        options: list[Any] = list(range(len(param.choice)))
    else:
        low, high = param.range
        options = [low, float(f"{np.sqrt(low * high) if param.log else (low + high) / 2:.2g}"), high]
    for option in options:
        _write(axes, _position(param, option), row, _cut(param_value(param, option), max(4, 84 // len(options))))


def _write_values(axes: Axes, values: Floats, lowest: float) -> None:
    axes.plot([_START, 1], [0, 0], color=QUIET, linewidth=0.8, zorder=1)
    for position in (0, 0.5, 1):
        text = f"{lowest + position * (values.max() - lowest):.3g}"
        lower = position == 0 and values.min() < lowest
        _write(axes, _START + (1 - _START) * position, 0, f"{text} or lower" if lower else text)


def _write(axes: Axes, x: float, row: float, text: str) -> None:
    box = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 0.6}
    axes.plot(x, row, marker="|", color=QUIET, markersize=6, zorder=1)
    axes.text(x, row - 0.16, text, ha="center", va="top", fontsize=9, zorder=4, bbox=box)


def _scaled(values: Floats) -> Floats:
    """Returns the positions of values on their row; equal values lie at its end."""
    spread = np.ptp(values)
    return _START + (1 - _START) * ((values - values.min()) / spread if spread else np.ones(len(values)))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
