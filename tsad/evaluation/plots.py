"""Pictures of scores and losses, drawn without a display."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tsad.series import runs

_INK, _MUTED, _ALARM = "#1f4e79", "#8a8f98", "#d62728"


def draw_scores(
    scores: NDArray[np.float64], labels: NDArray[np.bool_] | None, level: float, title: str, reported_from: int = 0
) -> Figure:
    """Returns the scores over rows, the level as a dashed line, labelled anomalies shaded red.

    Args:
        scores: (T,), NaN where there is none.
        labels: (T,) or None.
        level: Of the threshold.
        title: Above the picture.
        reported_from: First row that is reported; a line marks it if it is not the first of all.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(scores))
    axes.plot(rows, scores, color=_INK, linewidth=0.7, label="score")
    axes.axhline(level, color="black", linestyle="--", linewidth=1, label=f"threshold {level:.4g}")
    for place, (first, after) in enumerate(runs(labels) if labels is not None else []):
        shade = axes.axvspan(first - 0.5, after - 0.5, color=_ALARM, alpha=0.25, linewidth=0)
        if place == 0:
            shade.set_label("labelled anomaly")
    if reported_from:
        axes.axvline(reported_from, color=_MUTED, linewidth=1.2, label="reported from here")
    positive = scores[scores > 0]  # a comparison with NaN is False
    if len(positive) and positive.max() > 50 * np.median(positive):
        axes.set_yscale("log")
        axes.set_ylim(bottom=np.quantile(positive, 0.001) * 0.7)
    axes.set(xlabel="row", ylabel="score", title=title, xlim=(0, len(scores)))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    _plain(figure)
    return figure


def draw_losses(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Returns every loss curve over epochs, training solid and validation dashed; one mapping of losses an epoch."""
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, len(history) + 1)
    terms = sorted({name.partition("/")[2] for losses in history for name in losses})
    shown = terms if len(terms) > 2 else ["loss"]  # the sum of a single term is that term
    for place, term in enumerate(shown):
        for side, style in (("train", "-"), ("validation", "--")):
            values = [losses.get(f"{side}/{term}", np.nan) for losses in history]
            axes.plot(epochs, values, style, color=f"C{place}", marker=".", label=f"{side} {term}")
    axes.set(xlabel="epoch", ylabel="loss", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    _plain(figure)
    return figure


def _plain(figure: Figure) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
