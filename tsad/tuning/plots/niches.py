"""Figure of the niches of a search."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tsad.evaluation.plots.style import empty_figure, finish, new_figure
from tsad.selection.trial import Trial
from tsad.tuning.analysis import valued
from tsad.tuning.niches import LOOKBACKS, MEMORIES, Niche, NicheSummary, niche_summaries
from tsad.tuning.plots.value_axis import shown_values

_COLORS = colormaps["YlGnBu"]
_EMPTY, _FAINT = "#f4f4f4", "#666666"
"""Colors of cells without a value and of their text."""
_DARK = 0.675
"""Position in the color map from which white text has more contrast than black."""
_NAME_LENGTH = 24
"""Largest number of characters of a family."""


def draw_niches(trials: Sequence[Trial], title: str) -> Figure:
    """Returns a heat map of niches, families by memory, with the best value and the number of trials in each cell.

    Families are rows, that with the best value on top, and among equals in alphabetical order. Darker is better; values far
    below the median of the niches share the lightest color. Cells without a finished trial are gray.

    Args:
        trials: Trials in any order; those that did not finish are counted only.
        title: Title of the figure.
    """
    if not valued(trials):
        return empty_figure(title, "no trial finished with a value")
    summaries = {summary.niche: summary for summary in niche_summaries(trials)}
    families = _families(summaries)
    figure = new_figure(1.5 + 0.55 * len(families))
    axes = figure.subplots()
    scale = _scale([summary.best for summary in summaries.values() if summary.best is not None])
    for row, family in enumerate(families):
        for column, memory in enumerate(MEMORIES):
            _draw_cell(axes, (column, row), summaries.get(Niche(family, memory)), scale)
    axes.set(xlim=(-0.5, len(MEMORIES) - 0.5), ylim=(len(families) - 0.5, -0.5), ylabel="family")
    axes.set_xticks(range(len(MEMORIES)), [f"{memory}\n{LOOKBACKS[memory]}" for memory in MEMORIES])
    axes.set_yticks(range(len(families)), [_cut(family) for family in families])
    axes.set_xlabel("memory: rows before a row that its score depends on")
    if scale.vmin != scale.vmax:
        figure.colorbar(ScalarMappable(scale, _COLORS), ax=axes, label="best value", pad=0.02, aspect=30)
    finish(figure, title)
    for panel in figure.axes:
        panel.grid(visible=False)
        panel.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=10)
    return figure


def _families(summaries: Mapping[Niche, NicheSummary]) -> list[str]:
    """Returns the families, the best first."""
    best = {niche.family: float("-inf") for niche in summaries}
    for niche, _, trial in summaries.values():
        if trial is not None and trial.value is not None:
            best[niche.family] = max(best[niche.family], trial.value)
    return sorted(best, key=lambda family: (-best[family], family))


def _scale(elites: Sequence[Trial]) -> Normalize:
    """Returns the scale of colors, which ends at the largest value and begins at the lowest that is no outlier."""
    values, lowest = shown_values(elites)
    return Normalize(lowest, float(np.max(values)), clip=True)


def _draw_cell(axes: Axes, center: tuple[int, int], summary: NicheSummary | None, scale: Normalize) -> None:
    """Draws a niche as a rectangle of the color of its best value, which is written in it above the number of trials."""
    value = None if summary is None or summary.best is None else summary.best.value
    position = 1.0 if value is None or scale.vmin == scale.vmax else float(scale(value))
    color = _EMPTY if value is None else _COLORS(position)
    corner = (center[0] - 0.5, center[1] - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, edgecolor="white", linewidth=2))
    ink = _FAINT if value is None else "white" if position > _DARK else "black"
    axes.text(*center, _described(summary), ha="center", va="center", color=ink, fontsize=9, linespacing=1.2)


def _described(summary: NicheSummary | None) -> str:
    """Returns the best value with three digits, zeros at the end included, above the number of trials."""
    if summary is None:
        return "no trial"
    value = "no value" if summary.best is None else f"{summary.best.value:#.3g}".rstrip(".")
    return f"{value}\n{summary.trials} {'trial' if summary.trials == 1 else 'trials'}"


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
