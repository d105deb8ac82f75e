"""The comparison of the gate: a challenger replaces the champion if its value on the same rows is larger by a margin."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tsad.arrays import Flags, Floats
from tsad.data.dataset import DataSet
from tsad.data.split import Parts, SplitSpec, split
from tsad.detector.detector import Detector
from tsad.errors import DataError
from tsad.evaluation.intervals import (
    RESAMPLES,
    SEED,
    Interval,
    block_weights,
    interval,
    paired_difference,
    resampled_pr_auc,
)
from tsad.evaluation.registry import GateMetric
from tsad.evaluation.report import evaluate
from tsad.provenance import LabelsUsed
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import Spec


class GateSpec(Spec):
    """The comparison that a challenger must pass to become champion: the section `gate` of a search.

    Attributes:
        kind: What is compared. `labeled` compares a metric of the reported test rows with their labels. This is selection on
            these rows: the winner's later metrics there are biased upwards. `label_free` compares the mean average precision
            on validation rows with injected anomalies, which are drawn anew, so that neither detector was chosen by them.
            `auto` is `labeled` if the reported rows have labels of both classes, else `label_free`.
        metric: Name of the compared metric of the report, larger is better; null with `label_free`, which has its own.
        margin: Margin by which the challenger must exceed the champion, at least 0 and below 1. Another seed alone moves a
            detector by about the default, and each change of champion changes what its users are accustomed to.
    """

    kind: Literal["auto", "labeled", "label_free"] = "auto"
    metric: GateMetric | None = Field(
        default_factory=lambda values: None if values.get("kind") == "label_free" else "ranking/pr_auc"
    )
    margin: float = Field(0.02, ge=0, lt=1)

    @model_validator(mode="after")
    def _check_metric(self) -> "GateSpec":
        if (self.kind == "label_free") != (self.metric is None):
            raise ValueError(
                f"a label_free gate has no metric and any other has one, but got kind={self.kind} and metric={self.metric}; "
                f"leave the metric out"
            )
        return self


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two detectors on the same rows.

    Attributes:
        metric: Name of the compared metric.
        rows: Description of the rows, for people.
        champion: Value of the champion.
        challenger: Value of the challenger.
        difference: Challenger minus champion with its 95 % interval; None for metrics without an interval.
        margin: Margin by which the challenger must exceed the champion.
        labels_used: Rows whose labels were read.
    """

    metric: str
    rows: str
    champion: float
    challenger: float
    difference: Interval | None
    margin: float
    labels_used: LabelsUsed

    @property
    def passed(self) -> bool:
        """Whether the challenger replaces the champion."""
        return self.challenger - self.champion > self.margin

    @property
    def sentence(self) -> str:
        """One sentence that states what was compared and the result."""
        difference = self.difference or f"{self.challenger - self.champion:.3f}"
        return (
            f"In {self.metric} on {self.rows}, the challenger has {self.challenger:.3f} and the champion "
            f"{self.champion:.3f}: difference {difference}, {'above' if self.passed else 'not above'} the margin of "
            f"{self.margin:g}."
        )


def compare(
    challenger: Detector,
    champion: Detector,
    rows: tuple[DataSet, SplitSpec],
    gate: GateSpec,
    injection: LabelFreeSpec,
) -> Comparison:
    """Returns the comparison of two detectors on rows that neither was fitted to.

    Args:
        challenger: New detector; its lookback decides how the data is split.
        champion: Detector to beat; rows without a score of either detector count for neither.
        rows: Data and how they are split.
        gate: Settings of the comparison.
        injection: Injected anomalies of a label-free comparison; `edge` is increased to what either detector needs, and the
            next seed is used.

    Raises:
        DataError: if a detector has other features than the data, or the rows do not define the metric.
    """
    data, cut = rows
    parts = split(data, cut, challenger.scorer.lookback + 1)
    if gate.kind == "labeled" or (gate.kind == "auto" and _has_both_classes(parts)):
        return _by_labels(challenger, champion, parts, data, gate)
    return _by_injection(challenger, champion, parts, data, gate, injection)


def _has_both_classes(parts: Parts) -> bool:
    """Returns whether the reported rows have labels, some of anomalies and some of normal rows."""
    labels = None if parts.test.labels is None else parts.test.labels[parts.reported]
    return labels is not None and bool(labels.any()) and not labels.all()


def _by_labels(challenger: Detector, champion: Detector, parts: Parts, data: DataSet, gate: GateSpec) -> Comparison:
    if parts.test.labels is None or gate.metric is None:
        raise DataError(f"a labeled gate needs labeled test rows, but {data.name} has none; set gate.kind: label_free")
    rows, labels = parts.reported, np.asarray(parts.test.labels[parts.reported])
    detectors = (challenger, champion)
    scored = [detector.score(parts.test, parts.past) for detector in detectors]
    flags = [detector.flag(scores)[rows] for detector, scores in zip(detectors, scored, strict=True)]
    values = [scores.values[rows] for scores in scored]
    shared = ~np.isnan(values).any(axis=0)
    first, second = (
        _metric(np.where(shared, scores, np.nan), flagged, labels, detector, gate.metric)
        for scores, flagged, detector in zip(values, flags, detectors, strict=True)
    )
    difference = None
    if gate.metric == "ranking/pr_auc":  # the only one that resamples cheaply
        weights = block_weights(len(labels), np.random.default_rng(SEED), RESAMPLES)[:, shared]
        own, other = (resampled_pr_auc(scores[shared], labels[shared], weights) for scores in values)
        difference = interval(first - second, own - other)
    return Comparison(
        metric=gate.metric,
        rows=f"{int(shared.sum())} labeled rows of the test part of {data.name}, from row {rows.start} on",
        champion=second,
        challenger=first,
        difference=difference,
        margin=gate.margin,
        labels_used="test",
    )


def _metric(scores: Floats, flags: Flags, labels: Flags, detector: Detector, metric: str) -> float:
    report = evaluate(scores, flags, labels, threshold_from=detector.provenance.worst)
    if metric not in report.metrics:
        reason = report.undefined.get(metric, "not computed")
        raise DataError(f"the reported rows do not define {metric} ({reason}); set gate.kind: label_free")
    return report.metrics[metric]


def _by_injection(
    challenger: Detector, champion: Detector, parts: Parts, data: DataSet, gate: GateSpec, injection: LabelFreeSpec
) -> Comparison:
    detectors = (challenger, champion)
    context = max(detector.scorer.lookback + detector.scorer.lookahead for detector in detectors)
    drawn = injection.model_copy(update={"edge": max(injection.edge, context), "seed": injection.seed + 1})
    first, second = (np.array(drawn.precisions(detector, parts.validation)) for detector in detectors)
    return Comparison(
        metric="average precision",
        rows=f"{drawn.draws} injections of anomalies into the {len(parts.validation)} validation rows of {data.name}",
        champion=float(second.mean()),
        challenger=float(first.mean()),
        difference=paired_difference(first, second, np.random.default_rng(SEED)).difference,
        margin=gate.margin,
        labels_used="nothing",
    )
