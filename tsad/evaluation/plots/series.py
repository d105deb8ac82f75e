"""Pictures of the rows themselves: what a model made of them, and where they were flagged."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tsad.arrays import Flags, Floats
from tsad.evaluation.plots.style import (
    ALARM,
    INK,
    Values,
    draw_line,
    empty_figure,
    finish,
    name_panel,
    new_figure,
    number_rows,
    shade,
)
from tsad.series import runs

RECONSTRUCTED, SHOWN = 6, 8
"""Features at most, of a reconstruction and of a series."""
MARGIN = 100
"""Rows at least on each side of the event that is shown."""


def draw_reconstruction(
    values: Values,
    predictions: Values,
    scores: Floats,
    features: Sequence[str],
    labels: Flags | None,
    title: str,
    *,
    first_row: int = 0,
) -> Figure:
    """Returns rows, blue, and what the model predicts of them, red, around the labeled event that holds the highest score.

    Without labels it is around the highest score of all. On each side there are as many rows as the event has, at least
    `MARGIN`. Shown are the `RECONSTRUCTED` features whose mean absolute error there, in standard deviations of the feature,
    is largest, the largest on top.

    Args:
        values: (T, F).
        predictions: (T, F) in the same units, NaN where there is none.
        scores: (T,), NaN where there is none; they choose the event.
        features: The F names.
        labels: (T,), shaded, or None.
        title: Above the picture.
        first_row: Number of the first row that is passed, on the axis.
    """
    if np.isnan(scores).all():
        return empty_figure(title, "no row has a score")
    stretch = _stretch(scores, labels)
    if np.isnan(predictions[stretch]).all():
        return empty_figure(title, "no row has a prediction")
    spread = values.std(axis=0)
    error = np.nanmean(np.abs(predictions[stretch] - values[stretch]), axis=0) / np.where(spread > 0, spread, 1)
    chosen = np.argsort(-error, kind="stable")[:RECONSTRUCTED]
    figure = new_figure(1.1 + 1.0 * len(chosen))
    panels = figure.subplots(len(chosen), sharex=True, squeeze=False)[:, 0]
    first = first_row + stretch.start
    for axes, feature in zip(panels, chosen, strict=True):
        draw_line(axes, values[stretch, feature], color=INK, width=1.2, label="original", first=first)
        draw_line(axes, predictions[stretch, feature], color=ALARM, width=1.2, label="reconstruction", first=first)
        if labels is not None:
            shade(axes, labels[stretch], label="labeled anomaly", alpha=0.15, first=first)
        name_panel(axes, features[feature])
    number_rows(panels[-1], first, first_row + stretch.stop)
    return finish(figure, title)


def draw_series(
    values: Values,
    features: Sequence[str],
    labels: Flags | None,
    flags: Flags | None,
    scores: Floats | None,
    title: str,
    *,
    first_row: int = 0,
) -> Figure:
    """Returns features one above the other, then the scores and the flags; labeled anomalies are shaded.

    Shown are the `SHOWN` features that change from one row to the next most often, in their own order.

    Args:
        values: (T, F).
        features: The F names.
        labels: (T,) or None.
        flags: (T,), ticks below, or None.
        scores: (T,), NaN where there is none, or None.
        title: Above the picture.
        first_row: Number of the first row that is passed, on the axis.
    """
    moves = (np.diff(values, axis=0) != 0).sum(axis=0)
    chosen = np.sort(np.argsort(-moves, kind="stable")[:SHOWN])
    lines = [(features[index], values[:, index], INK) for index in chosen]
    if scores is not None:
        lines.append(("score", scores, "black"))
    heights = [1.0] * len(lines) + [0.3] * (flags is not None)
    figure = new_figure(1.2 + 0.72 * sum(heights))
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, line, color) in zip(panels, lines, strict=False):
        draw_line(axes, line, color=color, first=first_row)
        name_panel(axes, name)
    for axes in panels:
        shade(axes, labels, label="labeled anomaly", first=first_row)
    if flags is not None:
        shade(panels[-1], flags, label="flagged", color="black", alpha=1, first=first_row)
        panels[-1].set_yticks([])
        name_panel(panels[-1], "flags")
    number_rows(panels[-1], first_row, first_row + len(values))
    return finish(figure, title)


def _stretch(scores: Floats, labels: Flags | None) -> slice:
    """Returns the rows around the labeled event that holds the highest score, or around the highest score."""
    scored = ~np.isnan(scores)
    labeled = scored if labels is None else scored & labels
    highest = int(np.where(labeled if labeled.any() else scored, scores, -np.inf).argmax())
    events = runs(labels) if labels is not None else []
    start, stop = next((event for event in events if event[0] <= highest < event[1]), (highest, highest + 1))
    margin = max(MARGIN, stop - start)
    return slice(max(0, start - margin), min(len(scores), stop + margin))
