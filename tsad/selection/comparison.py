"""The gate: a challenger replaces the champion if it is worth more on the same rows, by a margin."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tsad.arrays import Flags, Floats
from tsad.data.dataset import DataSet
from tsad.data.split import Parts, SplitSpec, split
from tsad.detector.detector import Detector
from tsad.errors import DataError
from tsad.evaluation.intervals import Interval, block_weights, interval, paired_difference, resampled_pr_auc
from tsad.evaluation.report import evaluate
from tsad.provenance import LabelsUsed
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import Spec

RESAMPLES, SEED = 500, 0


class GateSpec(Spec):
    """What a challenger is asked before it becomes champion: the section `gate` of a search.

    Attributes:
        kind: `labeled` compares a metric of the reported test rows, and so reads their labels: what the winner's numbers on
            them are worth from then on is the larger of two. `label_free` compares the mean average precision on validation
            rows with injected anomalies, drawn anew, so that neither was chosen by them. `auto` is `labeled` where the
            reported rows have anomalies and normal rows, as labeled, else `label_free`.
        metric: Of the report, the larger the better; None of a label-free comparison, which has its own.
        margin: By which the challenger must be above the champion. Another seed alone moves a detector by about the default,
            and each change of champion changes what people are used to.
    """

    kind: Literal["auto", "labeled", "label_free"] = "auto"
    metric: (
        Literal[
            "ranking/pr_auc",
            "ranking/vus_pr",
            "ranking/roc_auc",
            "ranking/vus_roc",
            "oracle/best_f1",
            "deployable/f1",
            "point/f1",
            "event/f1",
            "affiliation/f1",
            "range/f1",
        ]
        | None
    ) = Field(default_factory=lambda given: None if given.get("kind") == "label_free" else "ranking/pr_auc")
    margin: float = Field(0.02, ge=0, lt=1)

    @model_validator(mode="after")
    def _metric_of_labels(self) -> "GateSpec":
        if (self.kind == "label_free") != (self.metric is None):
            raise ValueError(
                f"a label_free gate has no metric and any other has one, but got kind={self.kind} and metric={self.metric}; "
                f"leave the metric out"
            )
        return self


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same rows.

    Attributes:
        metric: What was compared.
        rows: On which rows, for people.
        champion: What the present one is worth.
        challenger: What the new one is worth.
        difference: Challenger minus champion with its interval; None where only the two values are known.
        margin: That the challenger must be above the champion by.
        labels_used: Whose labels were read.
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
        """What was compared, and what came out."""
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
    """Returns how the two compare on rows that the split does not fit on.

    Args:
        challenger: Says how far the split must look ahead.
        champion: May look back farther; rows that either does not score count for neither.
        rows: The data, and where they are cut.
        gate: What is compared.
        injection: What a label-free comparison injects; its `edge` grows to what either detector needs, and its seed is the
            next one.

    Raises:
        DataError: if a detector has other features, or the rows do not define what is compared.
    """
    data, cut = rows
    parts = split(data, cut, challenger.scorer.lookback + 1)
    if gate.kind == "labeled" or (gate.kind == "auto" and _both_kinds(parts)):
        return _by_labels(challenger, champion, parts, data, gate)
    return _by_injection(challenger, champion, parts, data, gate, injection)


def _both_kinds(parts: Parts) -> bool:
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
        _metric(np.where(shared, each, np.nan), flagged, labels, detector, gate.metric)
        for each, flagged, detector in zip(values, flags, detectors, strict=True)
    )
    difference = None
    if gate.metric == "ranking/pr_auc":  # the only one that resamples cheaply
        weights = block_weights(len(labels), np.random.default_rng(SEED), RESAMPLES)[:, shared]
        own, other = (resampled_pr_auc(each[shared], labels[shared], weights) for each in values)
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
    found = evaluate(scores, flags, labels, threshold_from=detector.provenance.worst)
    if metric not in found.metrics:
        reason = found.undefined.get(metric, "not computed")
        raise DataError(f"the reported rows do not define {metric} ({reason}); set gate.kind: label_free")
    return found.metrics[metric]


def _by_injection(
    challenger: Detector, champion: Detector, parts: Parts, data: DataSet, gate: GateSpec, injection: LabelFreeSpec
) -> Comparison:
    reach = max(each.scorer.lookback + each.scorer.lookahead for each in (challenger, champion))
    drawn = injection.model_copy(update={"edge": max(injection.edge, reach), "seed": injection.seed + 1})
    first, second = (np.array(drawn.precisions(each, parts.validation)) for each in (challenger, champion))
    return Comparison(
        metric="average precision",
        rows=f"{drawn.draws} injections of anomalies into the {len(parts.validation)} validation rows of {data.name}",
        champion=float(second.mean()),
        challenger=float(first.mean()),
        difference=paired_difference(first, second, np.random.default_rng(SEED)).difference,
        margin=gate.margin,
        labels_used="nothing",
    )
