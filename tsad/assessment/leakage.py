"""Leak tests: does a score see the future, do labels that should be unread have a hand in it, is the test in the train."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.random import Generator

from tsad.arrays import Flags, Floats
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.overlap import Overlap, overlap
from tsad.detector.scoring import Scores
from tsad.experiment import run
from tsad.series import Series

__all__ = [
    "FutureShuffle",
    "LabelsUnread",
    "Overlap",
    "PermutedLabels",
    "future_shuffle",
    "labels_unread",
    "overlap",
    "permuted_labels",
]


class RowScorer(Protocol):
    """Gives rows scores and says how many later rows each one waits for, as `Detector.scorer` does."""

    @property
    def lookahead(self) -> int:
        """Rows that must follow a row before its score is known."""

    def score(self, series: Series) -> Scores:
        """Returns one score per row."""


@dataclass(frozen=True)
class FutureShuffle:
    """Effect of later rows on the scores of earlier ones; anything but 0 is a leak.

    Attributes:
        row: The last row whose score is compared.
        compared: Rows with a score among those.
        shuffled: Largest change of a score when the rows after are shuffled; infinite if a score comes or goes.
        dropped: The same when there are no rows after.
    """

    row: int
    compared: int
    shuffled: float
    dropped: float

    @property
    def clean(self) -> bool:
        """Whether no score changed by a bit."""
        return self.shuffled == self.dropped == 0

    def __str__(self) -> str:
        return (
            f"{self.compared} scores up to row {self.row} change by {self.shuffled:g} when later rows are shuffled and by "
            f"{self.dropped:g} when they are dropped: {'no look-ahead' if self.clean else 'the future is seen'}"
        )


def future_shuffle(scorer: RowScorer, series: Series, row: int, generator: Generator) -> FutureShuffle:
    """Returns how far the scores up to a row change with the rows that they must not depend on.

    Shuffling finds a window, a smoothing or a normalization by position that reaches ahead. It leaves the mean, the minimum
    and the maximum of the rows as they are, so the same scores are made without the later rows too: that finds scores
    scaled by all rows passed.

    Args:
        scorer: Such as `detector.scorer`.
        series: Rows to score.
        row: Last row whose score is compared; the `lookahead` rows after it stay where they are.
        generator: Shuffles.

    Raises:
        ValueError: if nothing was compared: no row up to `row` has a score, or the later rows are all the same.
    """
    edge = row + 1 + scorer.lookahead
    values = series.values.copy()
    values[edge:] = generator.permutation(values[edge:])
    before = scorer.score(series).values[: row + 1]
    compared = int(np.isfinite(before).sum())
    if not compared or np.array_equal(values, series.values):
        raise ValueError(
            f"a leak can show only if a row up to {row} has a score and later rows differ, but {compared} rows have one and "
            f"{max(0, len(series) - edge)} of {len(series)} rows may be shuffled; take another row or more rows"
        )
    shuffled = scorer.score(replace(series, values=values)).values[: row + 1]
    dropped = scorer.score(series.part(0, edge)).values[: row + 1]
    return FutureShuffle(row, compared, _largest_change(before, shuffled), _largest_change(before, dropped))


def _largest_change(first: Floats, second: Floats) -> float:
    """Returns the largest absolute difference, infinite if only one of them is NaN anywhere."""
    scored = ~(np.isnan(first) & np.isnan(second))
    return float(np.nan_to_num(np.abs(first - second)[scored], nan=np.inf).max(initial=0.0))


@dataclass(frozen=True)
class PermutedLabels:
    """A metric compared with its values on labels that are unrelated to the scores.

    Attributes:
        value: On the labels as they are.
        null: (N,) on shifted labels, ascending.
    """

    value: float
    null: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """Chance of a value this high on unrelated labels, (1 + those as high) / (1 + N), never 0."""
        return (1 + sum(value >= self.value for value in self.null)) / (1 + len(self.null))

    def __str__(self) -> str:
        low, middle, high = np.quantile(self.null, [0.05, 0.5, 0.95])
        return (
            f"{self.value:.3f} on the labels, {middle:.3f} ({low:.3f} to {high:.3f}, 90 %) on {len(self.null)} circular "
            f"shifts of them: p = {self.p_value:.2g}"
        )


def permuted_labels(
    scores: Floats, labels: Flags, metric: Callable[[Floats, Flags], float], generator: Generator, shifts: int = 200
) -> PermutedLabels:
    """Returns the value of a metric and its distribution when the labels are shifted in a circle.

    A shift keeps the lengths of the anomalies and the distances between them, and the scores keep theirs, so that metrics
    which reward long anomalies or smooth scores do so here too: what remains of a gain is no skill. (One anomaly may come
    to lie across the end and then counts as two.) p-value of Phipson & Smyth 2010, eq. 2, over distinct random shifts.

    Args:
        scores: (T,), NaN where there is none; such rows are left out first.
        labels: (T,).
        metric: Function of scores without NaN and their labels; higher is better.
        generator: Draws the shifts.
        shifts: How many, at most the scored rows less 1.

    Raises:
        ValueError: if there are too few scored rows, or a shift would change nothing because all labels are the same.
    """
    scored = ~np.isnan(scores)
    values, truth = scores[scored], labels[scored]
    if not 1 <= shifts < len(truth) or truth.all() or not truth.any():
        raise ValueError(
            f"{shifts} shifts need more scored rows than that, normal and anomalous ones, but got {len(truth)} rows, "
            f"{int(truth.sum())} of them anomalous; take fewer shifts or other rows"
        )
    offsets = 1 + generator.choice(len(truth) - 1, size=shifts, replace=False)
    null = sorted(float(metric(values, np.roll(truth, offset))) for offset in offsets)
    return PermutedLabels(float(metric(values, truth)), tuple(null))


@dataclass(frozen=True)
class LabelsUnread:
    """Effect of labels that an experiment does not declare on its outcome; anything but 0 is a leak.

    Attributes:
        declared: Whose labels it says it uses, by what.
        scores: Largest change of a validation or test score when all other labels are replaced.
        flags: Test rows that are flagged with the one and not with the other; None if the threshold declares test labels.
    """

    declared: Mapping[str, str]
    scores: float
    flags: int | None

    @property
    def clean(self) -> bool:
        """Whether no score changed by a bit, and no flag that may not."""
        return self.scores == 0 and not self.flags

    def __str__(self) -> str:
        declared = ", ".join(f"{what}: {whose}" for what, whose in self.declared.items() if whose != "nothing")
        return (
            f"with other labels scores change by {self.scores:g}, and {'any' if self.flags is None else self.flags} flags "
            f"(labels declared: {declared or 'none'}): {'no other label is read' if self.clean else 'labels are read undeclared'}"
        )


def labels_unread(experiment: ExperimentConfig, data: DataSet, generator: Generator) -> LabelsUnread:
    """Returns what becomes of an experiment when all labels that `provenance` does not name are replaced by random ones.

    Random, not flipped, since some uses do not notice that (of where anomalies begin). Training rows get labels even if
    they have none. Labels of selection rows stay if training declares them; flags are not compared if the threshold declares
    test labels, which training must not read even so.

    Args:
        experiment: Run twice.
        data: With labeled test rows.
        generator: Draws the labels.

    Raises:
        ValueError: if the test rows have no labels, so that nothing could be read.
    """
    labels, used = data.test.labels, experiment.provenance.parts()
    if labels is None:
        raise ValueError(f"only labels can be read or unread, but the test rows of {data.name} have none; label them")
    first = run(experiment, data)
    train, test = (generator.random(len(series)) < 0.5 for series in (data.train, data.test))
    if used["training"] == "development" and first.parts.selection is not None:
        test[first.parts.selection] = labels[first.parts.selection]
    other = replace(data, train=replace(data.train, labels=train), test=replace(data.test, labels=test))
    second = run(experiment, other)
    pairs = ((first.validation, second.validation), (first.test, second.test))
    changed = first.detector.flag(first.test) != second.detector.flag(second.test)
    return LabelsUnread(
        declared=used,
        scores=max(_largest_change(before.values, after.values) for before, after in pairs),
        flags=None if used["threshold"] == "test" else int(changed.sum()),
    )
