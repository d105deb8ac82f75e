"""Figures of the progress of a search: its incumbent compared with random search, and the parents of its candidates."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tsad.arrays import Floats
from tsad.evaluation.plots.style import ALARM, AMBER, GREEN, INK, PINK, QUIET, empty_figure, finish, new_figure
from tsad.selection.trial import State, Trial
from tsad.tuning.analysis import best_of, in_order, incumbents, mean_seconds, valued
from tsad.tuning.pareto import comparable
from tsad.tuning.plots.value_axis import draw_floor

_STATES: Mapping[State, tuple[str, str]] = {"finished": ("o", INK), "stopped": ("v", AMBER), "failed": ("x", ALARM)}
"""Marker and color of trials by state."""
_FAMILIES = tuple(zip((INK, AMBER, GREEN, PINK, "#56b4e9", QUIET), "o^sDPX", strict=True))
"""Colors and markers of the families of models, in the order in which they occur."""


def draw_incumbent(trials: Sequence[Trial], random: Sequence[Trial], title: str) -> Figure:
    """Returns a figure of the best value so far over trials and over time, with a dot for each trial and random search.

    The line of random search is the expected best of n of the `random` trials, its band holds the best in 95 % of the draws
    (`best_of`). In time, n of them take n times their mean seconds, with as many in parallel as `trials`. Trials with a value
    far below the median, or without a value, are drawn on the lowest line.

    Args:
        trials: Trials of the search, in any order.
        random: Trials whose candidates were drawn at random, of this search or of another.
        title: Title of the figure.
    """
    if not valued(trials):
        return empty_figure(title, "no trial finished with a value")
    ended = in_order(trials)
    elapsed = np.array([trial.elapsed for trial in ended])
    numbers = np.arange(1.0, len(ended) + 1)
    scale, unit = _unit(elapsed.max())
    figure = new_figure(4.2)
    panels = figure.subplots(1, 2 if elapsed.max() > 0 else 1, sharey=True, squeeze=False)[0]
    wall_per_second = elapsed.max() / max(sum(trial.seconds for trial in trials), 1e-9)
    step_in_time = wall_per_second * mean_seconds(random) / scale
    for axes, x, step in zip(panels, (numbers, elapsed / scale), (1.0, step_in_time), strict=False):
        _draw_random(axes, random, step)
        values = _draw_dots(axes, ended, x)
        _draw_best(axes, ended, x)
        axes.set_xlim(left=0)
    floor = values.min()
    top = max([values.max(), *(trial.value for trial in valued(random) if trial.value is not None)])
    margin = 0.05 * (top - floor or abs(top) or 1)  # a random trial may have diverged too
    panels[0].set(xlabel="trials", ylabel="value", ylim=(floor - margin, top + margin))
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("trials" if len(panels) == 1 else unit)
    return finish(figure, title)


def draw_lineage(trials: Sequence[Trial], title: str) -> Figure:
    """Returns a figure of the value of each finished trial over its generation, with lines to its parents.

    The lines of the ancestors of the best trial are red. The marker shows the family of the model; within a generation the
    trials are in the order of proposal. Values far below the median are drawn on the lowest line.

    Args:
        trials: Trials in any order; those that did not finish are left out.
        title: Title of the figure.
    """
    finished = sorted(valued(trials), key=lambda trial: trial.candidate.number)
    if not finished:
        return empty_figure(title, "no trial finished with a value")
    figure = new_figure(4.6)
    axes = figure.subplots()
    values = draw_floor(axes, finished)
    points = {trial.candidate.number: (x, y) for trial, x, y in zip(finished, _spread(finished), values, strict=True)}
    by_number = {trial.candidate.number: trial for trial in finished}
    best = min(finished, key=lambda trial: trial.rank)
    ancestors = _ancestors(best, by_number)
    for number, trial in by_number.items():
        of_best = number in ancestors
        for parent in set(trial.candidate.parents) & points.keys():
            x, y = zip(points[parent], points[number], strict=True)
            axes.plot(
                x,
                y,
                color=ALARM if of_best else "#c8c8c8",
                linewidth=1.6 if of_best else 0.7,
                zorder=2 if of_best else 1,
            )
    _draw_families(axes, finished, points)
    best_x, best_y = points[best.candidate.number]
    axes.scatter(best_x, best_y, s=150, facecolor="none", edgecolor=ALARM, zorder=4, label=best.candidate.name)
    axes.set(xlabel="generation", ylabel="value")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(figure, title)


def _draw_random(axes: Axes, random: Sequence[Trial], step: float) -> None:
    """Draws the expected best of 1, 2, ... random trials, `step` apart on the x axis; nothing if the step is 0, unknown."""
    values = [trial.value if comparable(trial) else None for trial in random]
    if all(value is None for value in values) or not step:
        return
    best = np.array([best_of(values, size) for size in range(1, len(values) + 1)])
    x = step * np.arange(1, len(values) + 1)
    marker = "." if len(values) < 20 else ""
    label = f"expected best of random ({len(values)} drawn), 95 %"
    axes.fill_between(x, best[:, 1], best[:, 2], color=QUIET, alpha=0.2, linewidth=0)
    axes.plot(x, best[:, 0], "--", marker=marker, color=QUIET, linewidth=1.5, label=label)


def _draw_dots(axes: Axes, trials: Sequence[Trial], x: Floats) -> Floats:
    """Draws a dot for each trial and returns their y coordinates."""
    y = draw_floor(axes, trials)
    for state, (marker, color) in _STATES.items():
        members = [index for index, trial in enumerate(trials) if trial.state == state]
        if members:
            axes.scatter(x[members], y[members], s=26, color=color, marker=marker, alpha=0.75, label=state)
    return y


def _draw_best(axes: Axes, trials: Sequence[Trial], x: Floats) -> None:
    """Draws the best value so far as a stair up to the last trial."""
    by_number = {trial.candidate.number: position for trial, position in zip(trials, x, strict=True)}
    best = incumbents(trials)
    steps = [*(by_number[trial.candidate.number] for trial in best), x[-1]]
    values = [trial.value for trial in [*best, best[-1]]]
    axes.plot(steps, np.array(values, float), drawstyle="steps-post", color=INK, linewidth=2, label="best so far")


def _draw_families(axes: Axes, trials: Sequence[Trial], points: Mapping[int, tuple[float, float]]) -> None:
    """Draws trials at the points of their numbers, with a marker for each family; further families share the last marker."""
    families = list(dict.fromkeys(trial.candidate.family for trial in trials))
    for index, (color, marker) in enumerate(_FAMILIES):
        last = index == len(_FAMILIES) - 1
        own = families[index:] if last else families[index : index + 1]
        members = [points[trial.candidate.number] for trial in trials if trial.candidate.family in own]
        if members:
            x, y = np.array(members).T
            label = own[0] if len(own) == 1 else "other families"
            axes.scatter(x, y, color=color, marker=marker, s=34, zorder=3, label=label)


def _spread(trials: Sequence[Trial]) -> list[float]:
    """Returns the x coordinates of trials: their generations, spread around each in the order of proposal."""
    generations = [trial.candidate.generation for trial in trials]
    spread = []
    for index, generation in enumerate(generations):
        count, before = generations.count(generation), generations[:index].count(generation)
        spread.append(generation + 0.5 * ((before + 0.5) / count - 0.5))
    return spread


def _ancestors(trial: Trial, by_number: Mapping[int, Trial]) -> set[int]:
    """Returns the numbers of a trial and of all its ancestors."""
    ancestors, remaining = set(), [trial.candidate.number]
    while remaining:
        number = remaining.pop()
        if number in by_number and number not in ancestors:
            ancestors.add(number)
            remaining += by_number[number].candidate.parents
    return ancestors


def _unit(seconds: float) -> tuple[float, str]:
    """Returns the unit of a time axis, in seconds, and its name: seconds for 10 minutes, minutes for 3 hours, then hours."""
    return (1.0, "seconds") if seconds < 600 else (60.0, "minutes") if seconds < 10_800 else (3600.0, "hours")
