"""Pictures of scores: over rows, and how they are spread."""

import numpy as np
from matplotlib.figure import Figure

from tsad.arrays import Flags, Floats
from tsad.evaluation.plots.style import (
    ALARM,
    INK,
    draw_line,
    empty_figure,
    finish,
    is_heavy,
    lowest_shown,
    mark_thresholds,
    new_figure,
    number_rows,
    shade,
    threshold_name,
)
from tsad.provenance import LabelsUsed

BINS = 60


def draw_scores(
    scores: Floats,
    labels: Flags | None,
    thresholds: Floats | None,
    title: str,
    reported_from: int = 0,
    *,
    first_row: int = 0,
    threshold_from: LabelsUsed = "nothing",
) -> Figure:
    """Returns the scores over rows, the threshold of each row as a dashed line, labeled anomalies shaded red.

    The axis is logarithmic if the highest score is 50 times the median one.

    Args:
        scores: (T,), NaN where there is none.
        labels: (T,) or None.
        thresholds: (T,) above which a row is flagged, or None.
        title: Above the picture.
        reported_from: First row that is reported; a line marks it if it is not the first of all.
        first_row: Number of the first row that is passed, on the axis.
        threshold_from: Rows whose labels were used for the thresholds; those of "test" are named an oracle.
    """
    if np.isnan(scores).all():
        return empty_figure(title, "no row has a score")
    figure = new_figure(3.8)
    axes = figure.subplots()
    draw_line(axes, scores, color=INK, label="score", first=first_row)
    shade(axes, labels, label="labeled anomaly", first=first_row)
    if thresholds is not None:
        draw_line(
            axes,
            thresholds,
            "--",
            color="black",
            width=1,
            label=threshold_name(thresholds, threshold_from),
            first=first_row,
        )
    if reported_from:
        axes.axvline(reported_from, color="black", linestyle=":", linewidth=1.5, label="reported from here")
    if is_heavy(scores):
        axes.set_yscale("log")
        axes.set_ylim(bottom=lowest_shown(scores))
    axes.set_ylabel("score")
    number_rows(axes, first_row, first_row + len(scores))
    return finish(figure, title)


def draw_score_distribution(
    scores: Floats,
    labels: Flags | None,
    thresholds: Floats | None,
    title: str,
    *,
    threshold_from: LabelsUsed = "nothing",
) -> Figure:
    """Returns histograms of the scores of normal and of anomalous rows, each adding up to 1, and the threshold.

    On the logarithmic axis of heavy-tailed scores, the lowest thousandth and all that are not above 0 fall into the first bin.

    Args:
        scores: (T,), NaN where there is none.
        labels: (T,), or None for one histogram of all rows.
        thresholds: (T,), or None; where they differ, a band spans the lowest and the highest.
        title: Above the picture.
        threshold_from: Rows whose labels were used for the thresholds; those of "test" are named an oracle.
    """
    scored = ~np.isnan(scores)
    if not scored.any():
        return empty_figure(title, "no row has a score")
    kinds = {"all": (scored, INK)}
    if labels is not None:
        kinds = {"normal": (scored & ~labels, INK), "anomalous": (scored & labels, ALARM)}
    figure = new_figure(3.8)
    axes = figure.subplots()
    heavy = is_heavy(scores)
    values, edges = scores, np.histogram_bin_edges(scores[scored], BINS)
    if heavy:
        values = np.maximum(scores, lowest_shown(scores))
        edges = np.geomspace(np.nanmin(values), np.nanmax(values), BINS + 1)
    for name, (rows, color) in kinds.items():
        if count := int(rows.sum()):
            weights = np.full(count, 1 / count)
            label = f"{name} rows ({count})"
            axes.hist(
                values[rows],
                edges.tolist(),
                weights=weights,
                histtype="stepfilled",
                color=color,
                alpha=0.45,
                label=label,
            )
    mark_thresholds(axes, thresholds, threshold_from)
    axes.set(xlabel="score", ylabel="share of the rows of a kind", xscale="log" if heavy else "linear")
    return finish(figure, title)
