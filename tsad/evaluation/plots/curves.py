"""Pictures of curves: losses over epochs, and what a detector is worth at every threshold."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.evaluation.plots.style import (
    ALARM,
    AMBER,
    BUCKETS,
    GREEN,
    INK,
    PINK,
    QUIET,
    empty_figure,
    finish,
    is_heavy,
    lowest_shown,
    mark_thresholds,
    new_figure,
    thinned,
    undefined,
)
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.provenance import LabelsUsed
from tsad.sweep import sweep

BEST = 3
"""Other detectors that are drawn beside one."""


def draw_losses(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Returns every loss curve over epochs, training solid and validation dashed; one mapping of losses an epoch."""
    figure = new_figure(3.8)
    axes = figure.subplots()
    epochs = np.arange(1, len(history) + 1)
    terms = sorted({name.partition("/")[2] for losses in history for name in losses})
    shown = terms if len(terms) > 2 else ["loss"]  # the sum of a single term is that term
    for index, term in enumerate(shown):
        for side, style in (("train", "-"), ("validation", "--")):
            values = [losses.get(f"{side}/{term}", np.nan) for losses in history]
            axes.plot(epochs, values, style, color=f"C{index}", marker=".", label=f"{side} {term}")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(figure, title)


def draw_roc(
    scores: Floats,
    flags: Flags | None,
    labels: Flags | None,
    title: str,
    others: Mapping[str, Floats],
    *,
    threshold_from: LabelsUsed = "nothing",
) -> Figure:
    """Returns the ROC curve of a detector, thick, and those of the best other ones, thin, with their areas; chance is dashed.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,), whose point is marked, or None.
        labels: (T,) or None.
        title: Above the picture.
        others: (T,) scores by name, of which the `BEST` with the largest areas are drawn, each on the rows that it scores.
        threshold_from: Rows whose labels were used for the flags; those of "test" are named an oracle.
    """
    reason = undefined(scores, labels)
    if labels is None or reason:
        return empty_figure(title, reason or "")
    figure = new_figure(4.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1, label="chance 0.500")
    _draw_curves(axes, scores, labels, others, _roc)
    if flags is not None:
        scored = ~np.isnan(scores)
        _mark_flags(axes, float(flags[scored & ~labels].mean()), float(flags[scored & labels].mean()), threshold_from)
    axes.set(xlabel="false positive rate", ylabel="recall", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return finish(figure, title, "outside right upper")


def draw_precision_recall(
    scores: Floats,
    flags: Flags | None,
    labels: Flags | None,
    title: str,
    others: Mapping[str, Floats],
    *,
    threshold_from: LabelsUsed = "nothing",
) -> Figure:
    """Returns what `draw_roc` does with precision over recall; areas are average precision, and chance is the anomaly ratio.

    Args:
        scores: (T,), NaN where there is none.
        flags: (T,), whose point is marked unless none is set, or None.
        labels: (T,) or None.
        title: Above the picture.
        others: (T,) scores by name, of which the `BEST` with the largest areas are drawn, each on the rows that it scores.
        threshold_from: Rows whose labels were used for the flags; those of "test" are named an oracle.
    """
    reason = undefined(scores, labels)
    if labels is None or reason:
        return empty_figure(title, reason or "")
    figure = new_figure(4.6)
    axes = figure.subplots()
    scored = ~np.isnan(scores)
    ratio = float(labels[scored].mean())
    axes.axhline(ratio, color=QUIET, linestyle="--", linewidth=1, label=f"chance {ratio:.3f}")
    _draw_curves(axes, scores, labels, others, _precision_recall)
    if flags is not None and flags[scored].any():
        precision, recall, _ = precision_recall_f1(flags[scored], labels[scored])
        _mark_flags(axes, recall, precision, threshold_from)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return finish(figure, title, "outside right upper")


def draw_f1_vs_threshold(
    scores: Floats,
    labels: Flags | None,
    thresholds: Floats | None,
    title: str,
    *,
    threshold_from: LabelsUsed = "nothing",
) -> Figure:
    """Returns F1, precision and recall over the threshold, with the detector's own and, as an oracle, the best threshold.

    Args:
        scores: (T,), NaN where there is none.
        labels: (T,) or None.
        thresholds: (T,), or None; where they differ, a band spans the lowest and the highest.
        title: Above the picture.
        threshold_from: Rows whose labels were used for the thresholds; those of "test" are named an oracle.
    """
    reason = undefined(scores, labels)
    if labels is None or reason:
        return empty_figure(title, reason or "")
    scored = ~np.isnan(scores)
    swept = sweep(scores[scored], labels[scored])
    figure = new_figure(3.8)
    axes = figure.subplots()
    shown = thinned(swept.f1)
    dot = "." if len(shown) == 1 else ""
    for name, curve, color, width in (
        ("precision", swept.precision, AMBER, 1.0),
        ("recall", swept.recall, GREEN, 1.0),
        ("F1", swept.f1, INK, 2.2),
    ):
        axes.step(swept.thresholds[shown], curve[shown], marker=dot, color=color, linewidth=width, label=name)
    threshold, best = (
        np.nextafter(swept.thresholds[swept.best], np.inf),
        swept.f1[swept.best],
    )  # the lowest score that is flagged
    axes.plot(
        [threshold], [best], "*", color=ALARM, markersize=13, label=f"oracle: best F1 {best:.3f} at {threshold:.4g}"
    )
    mark_thresholds(axes, thresholds, threshold_from)
    if is_heavy(scores):
        axes.set_xscale("log")
        axes.set_xlim(left=lowest_shown(scores))
    axes.set(xlabel="threshold", ylim=(-0.02, 1.02))
    return finish(figure, title)


class _Curve(NamedTuple):
    """A curve thinned to (P,) points, and the area under all of it."""

    x: Floats
    y: Floats
    area: float


def _draw_curves(
    axes: Axes,
    scores: Floats,
    labels: Flags,
    others: Mapping[str, Floats],
    curve: Callable[[Floats, Flags], _Curve],
) -> None:
    named = {
        name: curve(values[~np.isnan(values)], labels[~np.isnan(values)])
        for name, values in {"detector": scores, **others}.items()
        if undefined(values, labels) is None
    }
    own = named.pop("detector")
    best = sorted(named.items(), key=lambda item: -item[1].area)[:BEST]
    for (name, other), color in zip(best, (AMBER, GREEN, PINK), strict=False):
        axes.plot(other.x, other.y, color=color, linewidth=1, label=f"{name} {other.area:.3f}")
    axes.plot(own.x, own.y, color=INK, linewidth=2.4, label=f"detector {own.area:.3f}")


def _mark_flags(axes: Axes, x: float, y: float, threshold_from: LabelsUsed) -> None:
    name = "its flags (oracle)" if threshold_from == "test" else "its flags"
    axes.plot([x], [y], "o", color="white", markeredgecolor="black", markeredgewidth=1.5, label=name, zorder=5)


def _roc(scores: Floats, labels: Flags) -> _Curve:
    from sklearn.metrics import roc_curve  # slow to import, and not needed to score rows

    rate, recall, _ = roc_curve(labels, scores)
    shown = _spread(len(rate))
    return _Curve(rate[shown], recall[shown], float(np.trapezoid(recall, rate)))


def _precision_recall(scores: Floats, labels: Flags) -> _Curve:
    from sklearn.metrics import precision_recall_curve  # slow to import, and not needed to score rows

    precision, recall, _ = precision_recall_curve(labels, scores)
    area = float(-(np.diff(recall) * precision[:-1]).sum())  # average precision
    precision, recall = precision[-2::-1], recall[-2::-1]  # without scikit-learn's point beyond the highest threshold
    shown = _spread(len(recall))
    return _Curve(recall[shown], precision[shown], area)


def _spread(points: int) -> NDArray[np.int64]:
    """Returns the indices of a curve that are drawn: evenly spread, and closer together at the highest thresholds."""
    even, first = np.linspace(1, points, 2 * BUCKETS), np.geomspace(1, points, 2 * BUCKETS)
    return np.unique(np.concatenate([even, first]).round().astype(np.int64)) - 1
