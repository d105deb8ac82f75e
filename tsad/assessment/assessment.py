"""An assessment: a report, and everything that says how far it can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.assessment.baselines import MEMORY, run_baselines, too_large
from tsad.assessment.entities import entity_reports
from tsad.assessment.leakage import PermutedLabels, permuted_labels
from tsad.config import ExperimentConfig
from tsad.data.card import DataCard, data_card
from tsad.data.dataset import DataSet
from tsad.data.split import Parts, split
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.evaluation.anomaly_types import AnomalyTypeScores, by_anomaly_type
from tsad.evaluation.chance import Chance, chance
from tsad.evaluation.intervals import RESAMPLES, SEED, Interval, block_weights, interval, resampled_pr_auc
from tsad.evaluation.pointwise import pr_auc
from tsad.evaluation.prediction_errors import prediction_errors
from tsad.evaluation.report import Report, evaluate
from tsad.evaluation.root_cause import RootCauseScores, root_cause_scores
from tsad.experiment import Outcome, report
from tsad.provenance import Provenance
from tsad.series import Series
from tsad.sweep import sweep

GAIN = "ranking/pr_auc"
"""The metric of the paired comparison with the best baseline."""


BeatsBaselines = Literal["yes", "perhaps", "no", "unknown"]
"""Whether a detector beats the best baseline: `yes` if the 95 % interval of the difference is above 0, `perhaps` if only the
difference itself is, `no` if it is not, and `unknown` if they cannot be compared."""

_BEATS: Mapping[str, str] = {
    "yes": "beats",
    "perhaps": "does not surely beat",
    "no": "does not beat",
}


def beats_sentence(beats: str) -> str:
    """Returns a short sentence for a value of `BeatsBaselines`, as the tag `tsad.beats_baselines` holds it."""
    if beats == "unknown":
        return "It is unknown whether it beats the best baseline."
    return f"It {_BEATS[beats]} the best baseline."


@dataclass(frozen=True)
class Gain:
    """Difference in PR-AUC between a detector and the best baseline, on the rows that it and all baselines score.

    Attributes:
        baseline: Name of the baseline with the highest PR-AUC, chosen with the labels of these rows, in its favor.
        value: PR-AUC of the detector.
        baseline_value: PR-AUC of that baseline.
        difference: Detector minus baseline with its 95 % interval over paired resamples.
    """

    baseline: str
    value: float
    baseline_value: float
    difference: Interval

    @property
    def beats(self) -> BeatsBaselines:
        """Whether the detector beats the best baseline."""
        if self.difference.low > 0:
            return "yes"
        return "perhaps" if self.value > self.baseline_value else "no"

    @property
    def sentence(self) -> str:
        """Sentence that says whether the detector beats the best baseline, with both values."""
        return (
            f"In PR-AUC the detector ({self.value:.3f}) {_BEATS[self.beats]} the best baseline "
            f"({self.baseline}, {self.baseline_value:.3f}): difference {self.difference}."
        )


@dataclass(frozen=True)
class Certainty:
    """Certainty of the ranking of rows of both classes.

    Attributes:
        chance: Values that random scores get, by name of the metric.
        intervals: PR-AUC with its interval, of the detector (named "detector") and of each baseline by name.
        gain: Difference from the best baseline; None without baselines, or if no rows of both classes have all their scores.
        permuted: PR-AUC compared with that on shifted labels.
    """

    chance: Mapping[str, Chance]
    intervals: Mapping[str, Interval]
    gain: Gain | None
    permuted: PermutedLabels


@dataclass(frozen=True, eq=False)
class Assessment:
    """A report of scores on some rows, and everything that says how far it can be trusted.

    Attributes:
        title: Names of the detector and of the data, for people.
        scores: (T,) scores of the reported rows, NaN where there is none.
        flags: (T,) flags, or None if there is no threshold.
        thresholds: (T,) threshold value of each row, or None if there is no threshold.
        labels: (T,) labels, or None if they are unknown.
        first_row: Index of the first reported row in the test series.
        validation: Scores of validation rows, from which label-free thresholds are computed; None where there are none.
        rows: The reported rows, in units of the data; None if only scores are available.
        predictions: (T, F) the model's predictions of the rows, in units of the data; None for a model without predictions.
        report: Metrics on these rows.
        provenance: Rows whose labels were used to make the detector.
        baselines: Reports of the baselines on the same rows, by name.
        baseline_scores: (T,) scores of each baseline, by name.
        too_large: Bytes that each baseline would take that was left out for them, by name.
        certainty: Chance level, intervals and gain; None unless rows of both classes are labeled.
        causes: Scores of the ranking of features as root causes, then those of a random ranking; None without root causes.
        anomaly_types: Metrics by anomaly type, of the detector (named "detector") and of each baseline; empty where types are
            unknown.
        entities: Report on the rows of each entity; empty for rows of a single one.
        card: Data card; None if only scores are available.
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
    too_large: Mapping[str, int] = field(default_factory=dict)
    certainty: Certainty | None = None
    causes: tuple[RootCauseScores, RootCauseScores] | None = None
    anomaly_types: Mapping[str, tuple[AnomalyTypeScores, ...]] = field(default_factory=dict)
    entities: Mapping[str, Report] = field(default_factory=dict)
    card: DataCard | None = None

    @property
    def gain(self) -> Gain | None:
        """Difference from the best baseline; None if they cannot be compared on these rows."""
        return None if self.certainty is None else self.certainty.gain

    @property
    def beats_baselines(self) -> BeatsBaselines:
        """Whether the detector beats the best baseline."""
        return "unknown" if self.gain is None else self.gain.beats

    @property
    def left_out(self) -> str | None:
        """Sentence that names the baselines that would not fit into memory; None if all were run."""
        if not self.too_large:
            return None
        names = ", ".join(f"{name} ({size / 2**30:.1f} GiB)" for name, size in self.too_large.items())
        return f"Baselines that would take more than {MEMORY / 2**30:g} GiB on rows this wide were left out: {names}."

    @property
    def conclusion(self) -> str:
        """Sentence that says whether the detector beats the best baseline, or why that is unknown."""
        if self.gain is not None:
            return self.gain.sentence
        if self.certainty is None:
            reason = self.report.undefined.get(GAIN, "no ranking of these rows is defined")
        elif not self.baselines:
            reason = "no baseline was run on these rows"
        else:
            reason = "the detector and the baselines share no scored rows of both classes"
        return f"It is unknown whether the detector beats the best baseline: {reason}."


def assess(detector: Detector, experiment: ExperimentConfig, data: DataSet, title: str) -> Assessment:
    """Returns the assessment of a detector on the reported rows of an experiment, compared with the baselines.

    Args:
        detector: Detector as it was saved.
        experiment: Experiment that says which rows are reported, and on which rows the baselines are fitted.
        data: Data set of the experiment.
        title: Names of the detector and of the data, for people.
    """
    parts = split(data, experiment.split, detector.scorer.lookback + 1)
    scores = detector.score(parts.test, parts.past)
    thresholds, rows = detector.threshold.per_row(scores.values), parts.reported
    outcomes = run_baselines(experiment, data)
    labels = None if parts.test.labels is None else np.asarray(parts.test.labels[rows])
    predictions = detector.scorer.predictions(parts.test)
    reported = report(detector, scores, parts, rows)
    if predictions is not None:
        reported = replace(reported, metrics={**reported.metrics, **_errors(detector, parts, predictions)})
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
        report=reported,
        provenance=detector.provenance,
        validation=detector.score(parts.validation).values,
        rows=parts.test.part(rows.start, rows.stop),
        predictions=None if predictions is None else predictions[rows],
        baselines={name: _reported(side, parts, rows) for name, side in outcomes.items()},
        baseline_scores=baselines,
        too_large=too_large(experiment, data),
        certainty=_certainty(scores.values[rows], labels, reported, baselines),
        causes=_causes(scores, rows, data),
        anomaly_types=_anomaly_types(judged, labels, rows.start, data),
        entities=entity_reports(detector, scores, parts, data),
        card=data_card(data),
    )


def _errors(detector: Detector, parts: Parts, predictions: Floats) -> dict[str, float]:
    """Returns the errors of the predictions of the reported normal rows, in the units of the scaler."""
    scaler, rows = detector.scorer.scaler, parts.reported
    normal = np.full(len(parts.test), fill_value=True) if parts.test.labels is None else ~parts.test.labels
    scaled = scaler.apply(parts.test).values[rows][normal[rows]].astype(np.float64)
    return prediction_errors(scaled, ((predictions - scaler.center) / scaler.scale)[rows][normal[rows]])


def _reported(outcome: Outcome, parts: Parts, rows: slice) -> Report:
    """Returns the report of `rows`, computed again only if the outcome reports other rows because of its own gap."""
    if outcome.parts.reported == rows:
        return outcome.report
    return report(outcome.detector, outcome.test, parts, rows)


def assessment_from_scores(scores: Floats, labels: Flags, title: str) -> Assessment:
    """Returns the assessment of scores without a detector.

    They have no threshold, so the flags are those at the best F1: an oracle, and tagged as one.

    Args:
        scores: (T,) scores, NaN where there is none.
        labels: (T,) labels.
        title: Names of the detector and of the data, for people.
    """
    scored = ~np.isnan(scores)
    thresholds, flags = None, None
    if labels[scored].any():
        swept = sweep(scores[scored], labels[scored])
        thresholds = np.full(len(scores), swept.thresholds[swept.best])
        flags = np.where(scored, scores, -np.inf) > thresholds
    reported = evaluate(scores, flags, labels, threshold_from="test")
    return Assessment(
        title=title,
        scores=scores,
        flags=flags,
        thresholds=thresholds,
        labels=labels,
        first_row=0,
        report=reported,
        provenance=Provenance(threshold="test"),
        certainty=_certainty(scores, labels, reported, {}),
    )


def _certainty(
    scores: Floats, labels: Flags | None, reported: Report, baselines: Mapping[str, Floats]
) -> Certainty | None:
    scored = ~np.isnan(scores)
    if labels is None or GAIN not in reported.metrics:
        return None
    generator = np.random.default_rng(SEED)
    weights = block_weights(len(scores), generator, RESAMPLES)
    values, resampled = {}, {}
    for name, side in {"detector": scores, **baselines}.items():
        has = ~np.isnan(side)
        values[name] = pr_auc(side[has], labels[has])
        resampled[name] = resampled_pr_auc(side[has], labels[has], weights[:, has])
    return Certainty(
        chance=chance(labels[scored], reported.metrics.get("ratio/predicted", 0.0), generator),
        intervals={name: interval(values[name], drawn) for name, drawn in resampled.items()},
        gain=_gain(scores, labels, baselines, weights),
        permuted=permuted_labels(scores, labels, pr_auc, generator, min(200, int(scored.sum()) - 1)),
    )


def _gain(scores: Floats, labels: Flags, baselines: Mapping[str, Floats], weights: NDArray[np.int64]) -> Gain | None:
    shared = ~np.isnan([scores, *baselines.values()]).any(axis=0)
    truth = labels[shared]
    if not baselines or truth.all() or not truth.any():
        return None
    values = {name: pr_auc(side[shared], truth) for name, side in baselines.items()}
    best = max(baselines, key=lambda name: values[name])
    value = pr_auc(scores[shared], truth)
    own, others = (resampled_pr_auc(side[shared], truth, weights[:, shared]) for side in (scores, baselines[best]))
    return Gain(best, value, values[best], interval(value - values[best], own - others))


def _causes(scores: Scores, rows: slice, data: DataSet) -> tuple[RootCauseScores, RootCauseScores] | None:
    """Returns how well features are ranked in the reported events with root causes, and those of chance."""
    scored = ~np.isnan(scores.values)
    causes = [
        cause for cause in data.root_causes if cause.start >= rows.start and scored[cause.start : cause.stop].any()
    ]
    return (
        root_cause_scores(scores.by_feature, causes, data.test.features)
        if causes and len(data.test.features) > 1
        else None
    )


def _anomaly_types(
    judged: Mapping[str, tuple[Floats, Flags]], labels: Flags | None, first_row: int, data: DataSet
) -> dict[str, tuple[AnomalyTypeScores, ...]]:
    """Returns what scores and flags of each detector get on each anomaly type; empty if types are unknown."""
    if labels is None or not data.typed_events:
        return {}
    typed_events = [(start - first_row, stop - first_row, name) for start, stop, name in data.typed_events]
    return {name: by_anomaly_type(scores, flags, labels, typed_events) for name, (scores, flags) in judged.items()}
