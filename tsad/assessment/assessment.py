"""An assessment: a report, and everything that says how far it can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.assessment.baselines import run_baselines
from tsad.assessment.leakage import PermutedLabels, permuted_labels
from tsad.data.card import DataCard, data_card
from tsad.data.dataset import DataSet
from tsad.data.split import Parts, split
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.evaluation.anomaly_types import AnomalyTypeScores, by_anomaly_type
from tsad.evaluation.chance import Chance, chance
from tsad.evaluation.intervals import Interval, block_weights, interval, resampled_pr_auc
from tsad.evaluation.pointwise import pr_auc
from tsad.evaluation.prediction_errors import prediction_errors
from tsad.evaluation.report import Report, evaluate
from tsad.evaluation.root_cause import RootCauseScores, root_cause
from tsad.experiment import ExperimentConfig, Outcome, report
from tsad.provenance import Provenance
from tsad.series import Series
from tsad.sweep import sweep

RESAMPLES, SEED = 500, 0
GAIN = "ranking/pr_auc"
"""The metric of the paired comparison with the best baseline."""


@dataclass(frozen=True)
class Gain:
    """What a detector has over the best baseline in PR-AUC, on the rows that they and the rest of the baselines score.

    Attributes:
        rival: Name of the baseline with the highest PR-AUC (a choice in the rival's favor).
        value: PR-AUC of the detector.
        rival_value: PR-AUC of the rival.
        difference: With its interval, over the same resamples of both.
    """

    rival: str
    value: float
    rival_value: float
    difference: Interval

    @property
    def sentence(self) -> str:
        """Whether it is worth more than the best baseline."""
        better = "does not surely beat" if self.value > self.rival_value else "does not beat"
        beats = "beats" if self.difference.low > 0 else better
        return (
            f"In PR-AUC the detector ({self.value:.3f}) {beats} the best baseline ({self.rival}, {self.rival_value:.3f}): "
            f"difference {self.difference}."
        )


@dataclass(frozen=True)
class Certainty:
    """How far the ranking of rows of both kinds can be trusted.

    Attributes:
        chance: What random scores get, by metric.
        intervals: PR-AUC of the detector (named "detector") and of each baseline.
        gain: Over the best baseline; None without baselines, or if no rows of both kinds have all their scores.
        permuted: PR-AUC beside that on shifted labels.
    """

    chance: Mapping[str, Chance]
    intervals: Mapping[str, Interval]
    gain: Gain | None
    permuted: PermutedLabels


@dataclass(frozen=True, eq=False)
class Assessment:
    """What is known of scores on some rows.

    Attributes:
        title: Which detector on which data.
        scores: (T,) of the reported rows, NaN where there is none.
        flags: (T,), or None if there is no threshold.
        thresholds: (T,) of each row, or None.
        labels: (T,), or None if nobody knows.
        first_row: Place of the first reported row in the test series.
        validation: Scores of validation rows, which label-free thresholds are read off; None where there are none.
        rows: The reported rows themselves, in units of the data; None where only scores are known.
        predictions: (T, F) what the model took the rows for, likewise; None for a model without predictions.
        report: On these rows.
        provenance: Whose labels had a hand in the detector.
        baselines: Reports of the baselines on the same rows.
        baseline_scores: (T,) scores of each.
        certainty: Chance, intervals, gain; None unless rows of both kinds are labeled.
        causes: How well features are ranked, and chance; None where causes are not known.
        anomaly_types: What the detector (named "detector") and each baseline are worth on each anomaly type; empty where types
            are not known.
        card: Of the data.
    """

    title: str
    scores: Floats
    flags: Flags | None
    thresholds: Floats | None
    labels: Flags | None
    first_row: int
    report: Report
    provenance: Provenance
    validation: Floats | None = None
    rows: Series | None = None
    predictions: Floats | None = None
    baselines: Mapping[str, Report] = field(default_factory=dict)
    baseline_scores: Mapping[str, Floats] = field(default_factory=dict)
    certainty: Certainty | None = None
    causes: tuple[RootCauseScores, RootCauseScores] | None = None
    anomaly_types: Mapping[str, tuple[AnomalyTypeScores, ...]] = field(default_factory=dict)
    card: DataCard | None = None


def assess(detector: Detector, experiment: ExperimentConfig, data: DataSet, title: str) -> Assessment:
    """Returns the assessment of a detector on the reported rows of an experiment, the baselines run beside it.

    Args:
        detector: As it was saved.
        experiment: Says which rows are reported, and what the baselines is fitted on.
        data: Of the experiment.
        title: For people.
    """
    parts = split(data, experiment.split, detector.scorer.lookback + 1)
    scores = detector.score(parts.test, parts.past)
    thresholds, rows = detector.threshold.per_row(scores.values), parts.reported
    outcomes = run_baselines(experiment, data)
    labels = None if parts.test.labels is None else np.asarray(parts.test.labels[rows])
    predictions = detector.scorer.predictions(parts.test)
    found = report(detector, scores, parts, rows)
    if predictions is not None:
        found = replace(found, metrics={**found.metrics, **_errors(detector, parts, predictions)})
    baselines = {name: outcome.test.values[rows] for name, outcome in outcomes.items()}
    flags = detector.flag(scores)[rows]
    judged = {"detector": (scores.values[rows], flags)} | {
        name: (baselines[name], outcome.detector.flag(outcome.test)[rows]) for name, outcome in outcomes.items()
    }
    return Assessment(
        title=title,
        scores=scores.values[rows],
        flags=flags,
        thresholds=thresholds[rows],
        labels=labels,
        first_row=rows.start,
        report=found,
        provenance=detector.provenance,
        validation=detector.score(parts.validation).values,
        rows=parts.test.part(rows.start, rows.stop),
        predictions=None if predictions is None else predictions[rows],
        baselines={name: _reported(each, parts, rows) for name, each in outcomes.items()},
        baseline_scores=baselines,
        certainty=_certainty(scores.values[rows], labels, found, baselines),
        causes=_causes(scores, rows, data),
        anomaly_types=_anomaly_types(judged, labels, rows.start, data),
        card=data_card(data),
    )


def _errors(detector: Detector, parts: Parts, predictions: Floats) -> dict[str, float]:
    """Returns the errors of the predictions of the reported normal rows, in the units of the scaler."""
    scaler, rows = detector.scorer.scaler, parts.reported
    normal = np.full(len(parts.test), fill_value=True) if parts.test.labels is None else ~parts.test.labels
    scaled = scaler.apply(parts.test).values[rows][normal[rows]].astype(np.float64)
    return prediction_errors(scaled, ((predictions - scaler.center) / scaler.scale)[rows][normal[rows]])


def _reported(outcome: Outcome, parts: Parts, rows: slice) -> Report:
    """Returns the report of `rows`, made anew only if the outcome's own gap made it report others."""
    if outcome.parts.reported == rows:
        return outcome.report
    return report(outcome.detector, outcome.test, parts, rows)


def assess_scores(scores: Floats, labels: Flags, title: str) -> Assessment:
    """Returns the assessment of scores of which nothing else is known.

    No threshold came with them, so flags are those of the best F1: an oracle, and tagged so.

    Args:
        scores: (T,), NaN where there is none.
        labels: (T,).
        title: For people.
    """
    known = ~np.isnan(scores)
    thresholds, flags = None, None
    if labels[known].any():
        swept = sweep(scores[known], labels[known])
        thresholds = np.full(len(scores), swept.thresholds[swept.best])
        flags = np.where(known, scores, -np.inf) > thresholds
    found = evaluate(scores, flags, labels, threshold_from="test")
    return Assessment(
        title=title,
        scores=scores,
        flags=flags,
        thresholds=thresholds,
        labels=labels,
        first_row=0,
        report=found,
        provenance=Provenance(threshold="test"),
        certainty=_certainty(scores, labels, found, {}),
    )


def _certainty(
    scores: Floats, labels: Flags | None, found: Report, baselines: Mapping[str, Floats]
) -> Certainty | None:
    known = ~np.isnan(scores)
    if labels is None or GAIN not in found.metrics:
        return None
    generator = np.random.default_rng(SEED)
    weights = block_weights(len(scores), generator, RESAMPLES)
    values, resampled = {}, {}
    for name, each in {"detector": scores, **baselines}.items():
        has = ~np.isnan(each)
        values[name] = pr_auc(each[has], labels[has])
        resampled[name] = resampled_pr_auc(each[has], labels[has], weights[:, has])
    return Certainty(
        chance=chance(labels[known], found.metrics.get("ratio/predicted", 0.0), generator),
        intervals={name: interval(values[name], drawn) for name, drawn in resampled.items()},
        gain=_gain(scores, labels, baselines, weights),
        permuted=permuted_labels(scores, labels, pr_auc, generator, min(200, int(known.sum()) - 1)),
    )


def _gain(scores: Floats, labels: Flags, baselines: Mapping[str, Floats], weights: NDArray[np.int64]) -> Gain | None:
    shared = ~np.isnan([scores, *baselines.values()]).any(axis=0)
    truth = labels[shared]
    if not baselines or truth.all() or not truth.any():
        return None
    values = {name: pr_auc(each[shared], truth) for name, each in baselines.items()}
    rival = max(baselines, key=lambda name: values[name])
    value = pr_auc(scores[shared], truth)
    own, others = (resampled_pr_auc(each[shared], truth, weights[:, shared]) for each in (scores, baselines[rival]))
    return Gain(rival, value, values[rival], interval(value - values[rival], own - others))


def _causes(scores: Scores, rows: slice, data: DataSet) -> tuple[RootCauseScores, RootCauseScores] | None:
    """Returns how well features are ranked in the reported events whose causes are known, and chance."""
    known = ~np.isnan(scores.values)
    causes = [
        cause for cause in data.root_causes if cause.start >= rows.start and known[cause.start : cause.stop].any()
    ]
    return root_cause(scores.by_feature, causes, data.test.features) if causes and len(data.test.features) > 1 else None


def _anomaly_types(
    judged: Mapping[str, tuple[Floats, Flags]], labels: Flags | None, first_row: int, data: DataSet
) -> dict[str, tuple[AnomalyTypeScores, ...]]:
    """Returns what scores and flags of each detector are worth on each anomaly type, if one is known."""
    if labels is None or not data.typed_events:
        return {}
    typed_events = [(start - first_row, stop - first_row, name) for start, stop, name in data.typed_events]
    return {name: by_anomaly_type(scores, flags, labels, typed_events) for name, (scores, flags) in judged.items()}
