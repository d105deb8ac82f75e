"""Rows beside the reference that they are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from tsad.arrays import Floats
from tsad.evaluation.plots.style import ALARM, INK, QUIET, empty_figure, finish, new_figure

COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Compared:
    """Two distributions of one column.

    Attributes:
        title: What stands above its panel.
        drifted: Whether it has drifted.
        values: (K,) ascending.
        reference: (2 K,) shares of the reference below, and up to, each of them in turn.
        observed: (2 K,) those of the rows.
        ends: Lowest and highest value of the rows.
    """

    title: str
    drifted: bool
    values: Floats
    reference: Floats
    observed: Floats
    ends: tuple[float, float]


def draw_drift(compared: Sequence[Compared], title: str) -> Figure:
    """Returns one panel per column: the share of rows at or below each value, of the reference and of the rows.

    The distance of the two is the largest vertical gap between the lines.
    """
    if not compared:
        return empty_figure(title, "no column")
    lines = -(-len(compared) // COLUMNS)
    figure = new_figure(0.9 + 2.0 * lines)
    panels = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, feature in zip(panels, compared, strict=False):
        low, high = min(feature.values[0], feature.ends[0]), max(feature.values[-1], feature.ends[1])
        margin = 0.05 * (high - low) or 0.5
        at = np.concatenate([[low - margin, low], feature.values.repeat(2), [high, high + margin]])
        for shares, color, name in ((feature.reference, QUIET, "reference"), (feature.observed, INK, "rows")):
            axes.plot(at, np.concatenate([[0, 0], shares, [1, 1]]), color=color, label=name)
        axes.set_title(feature.title, fontsize=9, color=ALARM if feature.drifted else "black")
        axes.set(ylim=(-0.03, 1.03), xlim=(at[0], at[-1]))
        axes.tick_params(labelsize=8)
    for axes in panels[len(compared) :]:
        axes.set_visible(False)
    figure.supylabel("share of rows at or below", fontsize=9)
    return finish(figure, title)
