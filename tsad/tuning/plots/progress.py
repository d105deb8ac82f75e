"""Pictures of how a search went on: its incumbent beside random's, and who was bred of whom."""

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
"""Marker and color."""
_FAMILIES = tuple(zip((INK, AMBER, GREEN, PINK, "#56b4e9", QUIET), "o^sDPX", strict=True))


def draw_incumbent(trials: Sequence[Trial], random: Sequence[Trial], title: str) -> Figure:
    """Returns the best value so far over trials and over time, a dot for each trial, and what random would have had.

    Random's line is the expected best of n of the `random` trials, its band where that lies 95 times of 100 (`best_of`); n
    of them take n times their mean seconds, as much side by side as `trials`. Values far below the median, and trials
    without one, stand on the lowest line.

    Args:
        trials: Of the search.
        random: Trials whose candidates were drawn at random: those of this search, or of another at the same cost.
        title: Above the picture.
    """
    if not valued(trials):
        return empty_figure(title, "no trial finished with a value")
    ended = in_order(trials)
    elapsed = np.array([trial.elapsed for trial in ended])
    numbers = np.arange(1.0, len(ended) + 1)
    scale, unit = _unit(elapsed.max())
    figure = new_figure(4.2)
    panels = figure.subplots(1, 2 if elapsed.max() > 0 else 1, sharey=True, squeeze=False)[0]
    pace = elapsed.max() / max(sum(trial.seconds for trial in trials), 1e-9)
    mean = mean_seconds(random)
    for axes, places, step in zip(panels, (numbers, elapsed / scale), (1.0, pace * mean / scale), strict=False):
        _draw_random(axes, random, step)
        heights = _draw_dots(axes, ended, places)
        _draw_best(axes, ended, places)
        axes.set_xlim(left=0)
    floor = heights.min()
    top = max([heights.max(), *(trial.value for trial in valued(random) if trial.value is not None)])
    margin = 0.05 * (top - floor or abs(top) or 1)  # random may have diverged too
    panels[0].set(xlabel="trials", ylabel="value", ylim=(floor - margin, top + margin))
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("trials" if len(panels) == 1 else unit)
    return finish(figure, title)


def draw_lineage(trials: Sequence[Trial], title: str) -> Figure:
    """Returns the value of each finished trial over its generation, with lines to its parents; those of the best are red.

    The marker says the family; within a generation the trials stand in the order of proposal. Values far below the median
    stand on the lowest line.
    """
    finished = sorted(valued(trials), key=lambda trial: trial.candidate.number)
    if not finished:
        return empty_figure(title, "no trial finished with a value")
    figure = new_figure(4.6)
    axes = figure.subplots()
    heights = draw_floor(axes, finished)
    points = {trial.candidate.number: (x, y) for trial, x, y in zip(finished, _spread(finished), heights, strict=True)}
    by_number = {trial.candidate.number: trial for trial in finished}
    best = min(finished, key=lambda trial: trial.rank)
    ancestors = _ancestors(best, by_number)
    for number, trial in by_number.items():
        ours = number in ancestors
        for parent in set(trial.candidate.parents) & points.keys():
            x, y = zip(points[parent], points[number], strict=True)
            axes.plot(x, y, color=ALARM if ours else "#c8c8c8", linewidth=1.6 if ours else 0.7, zorder=2 if ours else 1)
    _draw_families(axes, finished, points)
    place = points[best.candidate.number]
    axes.scatter(place[0], place[1], s=150, facecolor="none", edgecolor=ALARM, zorder=4, label=best.candidate.name)
    axes.set(xlabel="generation", ylabel="value")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(figure, title)


def _draw_random(axes: Axes, random: Sequence[Trial], step: float) -> None:
    """Draws random's expected best of 1, 2, ... trials, `step` apart; nothing if what a trial takes is not known, 0."""
    values = [trial.value if comparable(trial) else None for trial in random]
    if all(value is None for value in values) or not step:
        return
    best = np.array([best_of(values, size) for size in range(1, len(values) + 1)])
    places = step * np.arange(1, len(values) + 1)
    marker = "." if len(values) < 20 else ""
    label = f"expected best of random ({len(values)} drawn), 95 %"
    axes.fill_between(places, best[:, 1], best[:, 2], color=QUIET, alpha=0.2, linewidth=0)
    axes.plot(places, best[:, 0], "--", marker=marker, color=QUIET, linewidth=1.5, label=label)


def _draw_dots(axes: Axes, trials: Sequence[Trial], places: Floats) -> Floats:
    """Draws a dot for each trial and returns their heights."""
    heights = draw_floor(axes, trials)
    for state, (marker, color) in _STATES.items():
        members = [place for place, trial in enumerate(trials) if trial.state == state]
        if members:
            axes.scatter(places[members], heights[members], s=26, color=color, marker=marker, alpha=0.75, label=state)
    return heights


def _draw_best(axes: Axes, trials: Sequence[Trial], places: Floats) -> None:
    by_number = {trial.candidate.number: place for trial, place in zip(trials, places, strict=True)}
    found = incumbents(trials)
    x = [*(by_number[trial.candidate.number] for trial in found), places[-1]]
    y = [trial.value for trial in [*found, found[-1]]]
    axes.plot(x, np.array(y, float), drawstyle="steps-post", color=INK, linewidth=2, label="best so far")


def _draw_families(axes: Axes, trials: Sequence[Trial], points: Mapping[int, tuple[float, float]]) -> None:
    """Draws trials at the points of their numbers, a marker for each family; those beyond the markers share the last."""
    families = list(dict.fromkeys(trial.candidate.family for trial in trials))
    for place, (color, marker) in enumerate(_FAMILIES):
        last = place == len(_FAMILIES) - 1
        ours = families[place:] if last else families[place : place + 1]
        x, y = (
            np.array([points[each.candidate.number] for each in trials if each.candidate.family in ours])
            .reshape(-1, 2)
            .T
        )
        if ours:
            label = ours[0] if len(ours) == 1 else "other families"
            axes.scatter(x, y, color=color, marker=marker, s=34, zorder=3, label=label)


def _spread(trials: Sequence[Trial]) -> list[float]:
    """Returns each trial's generation, those of one generation spread around it in the order of proposal."""
    generations = [trial.candidate.generation for trial in trials]
    found = []
    for place, generation in enumerate(generations):
        count, before = generations.count(generation), generations[:place].count(generation)
        found.append(generation + 0.5 * ((before + 0.5) / count - 0.5))
    return found


def _ancestors(trial: Trial, by_number: Mapping[int, Trial]) -> set[int]:
    """Returns the numbers of a trial and of all that it descends from."""
    found, open_ = set(), [trial.candidate.number]
    while open_:
        number = open_.pop()
        if number in by_number and number not in found:
            found.add(number)
            open_ += by_number[number].candidate.parents
    return found


def _unit(seconds: float) -> tuple[float, str]:
    """Returns what a time axis counts: seconds up to ten minutes, minutes up to three hours, then hours."""
    return (1.0, "seconds") if seconds < 600 else (60.0, "minutes") if seconds < 10_800 else (3600.0, "hours")
