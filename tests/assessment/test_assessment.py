from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import tsad.assessment.assessment
from tsad.assessment.assessment import Gain, assess, assessment_from_scores
from tsad.assessment.baselines import BASELINES, UNTRAINED, run_baselines
from tsad.assessment.summary import conclusion
from tsad.config import ExperimentConfig
from tsad.evaluation.anomaly_types import by_anomaly_type
from tsad.evaluation.intervals import Interval
from tsad.evaluation.root_cause import root_cause_scores
from tsad.experiment import report, run
from tsad.provenance import Provenance
from tsad.spec import parse, put

VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"selection": 0.5, "gap": 12},
    "window": {"length": 8},
    "model": {"kind": "lstm_ae", "hidden": 8, "latent": 3},
    "training": {"epochs": 6, "batch_size": 64, "learning_rate": 1e-2},
}
REPORTED = slice(212, 400)
RIVALS = ("l2", "k-means", UNTRAINED)


class Case:
    """One run of a network and of the baselines, to be assessed on any labels."""

    def __init__(self):
        self.experiment = parse(ExperimentConfig, VALUES, "case")
        self.data = self.experiment.data.load(Path())
        self.outcome = run(self.experiment, self.data)
        self.baselines = run_baselines(self.experiment, self.data)

    def assessed(self, labels, members=(*BASELINES, UNTRAINED)):
        """Returns the assessment on any test labels; no label has a hand in the runs, so they are not repeated."""
        data = replace(self.data, test=replace(self.data.test, labels=labels))
        parts = replace(self.outcome.parts, reported=slice(0))  # so that each report is made anew, on these labels
        baselines = {name: replace(self.baselines[name], parts=parts) for name in members}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tsad.assessment.assessment, "run_baselines", lambda experiment, data: baselines)
            chosen = replace(self.outcome.detector, selection_labels="selection")
            return assess(chosen, self.experiment, data, "case")


@pytest.fixture(scope="module")
def case():
    return Case()


@pytest.fixture(scope="module")
def assessed(case):
    return case.assessed(case.data.test.labels)


def test_baselines_that_would_not_fit_are_named_with_their_size(assessed):
    assert assessed.left_out is None
    assert "left out" not in conclusion(assessed)
    large = replace(assessed, too_large={"k-means": 4 * 2**30, "autoregressive ridge": 5 * 2**29})
    assert conclusion(large).splitlines() == [
        assessed.conclusion,
        "Baselines that would take more than 2 GiB on rows this wide were left out: k-means (4.0 GiB), autoregressive ridge "
        "(2.5 GiB).",
        assessed.provenance.sentence,
    ]


def test_an_assessment_names_what_is_too_large(case, monkeypatch):
    monkeypatch.setattr(tsad.assessment.assessment, "too_large", lambda experiment, data: {"k-means": 2**33})
    assert case.assessed(case.data.test.labels, ("l2",)).too_large == {"k-means": 2**33}


def test_an_assessment_is_of_the_reported_rows(case, assessed):
    test, outcome = case.data.test, case.outcome
    assert assessed.first_row == REPORTED.start
    np.testing.assert_array_equal(assessed.scores, outcome.test.values[REPORTED])
    np.testing.assert_array_equal(assessed.flags, outcome.detector.flag(outcome.test)[REPORTED])
    np.testing.assert_array_equal(assessed.flags, assessed.scores > assessed.thresholds)
    np.testing.assert_array_equal(assessed.labels, test.labels[REPORTED])
    np.testing.assert_array_equal(assessed.rows.values, test.values[REPORTED])
    np.testing.assert_array_equal(assessed.validation, outcome.validation.values)
    assert assessed.predictions.shape == (188, 6)
    assert outcome.report.metrics.items() <= assessed.report.metrics.items()
    assert assessed.report.undefined == outcome.report.undefined
    assert assessed.provenance == Provenance(selection="selection")
    assert assessed.card.name == case.data.name


def test_prediction_errors_are_those_of_the_normal_rows_in_training_deviations(case, assessed):
    differences = (assessed.rows.values - assessed.predictions) / case.outcome.detector.scorer.scaler.scale
    normal = differences[~assessed.labels & ~np.isnan(assessed.predictions).any(axis=1)]
    assert assessed.report.metrics["prediction/mae"] == pytest.approx(np.abs(normal).mean(), rel=1e-5)
    assert assessed.report.metrics["prediction/rmse"] == pytest.approx(np.sqrt(np.square(normal).mean()), rel=1e-5)


def test_all_of_the_baselines_stands_beside_it_on_the_same_rows(case, assessed):
    assert list(assessed.baselines) == list(assessed.baseline_scores) == [*BASELINES, UNTRAINED]
    for name, found in assessed.baselines.items():
        assert found.metrics["rows/scored"] == 188
        scores, labels = assessed.baseline_scores[name], assessed.labels
        assert found.metrics["ranking/pr_auc"] == pytest.approx(average_precision_score(labels, scores))
        outcome = case.baselines[name]
        assert (found == outcome.report) == (outcome.parts.reported == REPORTED)
        assert found == report(outcome.detector, outcome.test, case.outcome.parts, REPORTED)


def test_intervals_hold_the_reported_values(assessed):
    intervals = assessed.certainty.intervals
    assert list(intervals) == ["detector", *assessed.baselines]
    for name, (value, low, high) in intervals.items():
        found = assessed.report if name == "detector" else assessed.baselines[name]
        assert value == pytest.approx(found.metrics["ranking/pr_auc"])
        assert 0 < low < value < high <= 1


def test_the_gain_is_over_the_best_baseline_detector(assessed):
    gain = assessed.certainty.gain
    values = {name: average_precision_score(assessed.labels, each) for name, each in assessed.baseline_scores.items()}
    assert gain.baseline == max(values, key=values.get)
    assert gain.baseline_value == pytest.approx(values[gain.baseline])
    assert gain.value == pytest.approx(assessed.report.metrics["ranking/pr_auc"])
    assert gain.difference.value == pytest.approx(gain.value - gain.baseline_value)
    assert gain.difference.low < gain.difference.value < gain.difference.high


@pytest.mark.slow
def test_a_gain_compares_the_rows_that_all_of_them_score(case):
    experiment = parse(
        ExperimentConfig, put(VALUES, {"split.selection": 0.0, "model": {"kind": "l2"}, "window.length": 1}), "l2"
    )
    found = assess(run(experiment, case.data).detector, experiment, case.data, "from the first row on")
    shared = slice(15, None)  # the baselines' longest windows
    assert found.report.metrics["rows/unscored"] == 0
    assert np.isnan(found.baseline_scores["k-means"][:15]).all()
    by_hand = average_precision_score(found.labels[shared], found.scores[shared])
    assert found.certainty.gain.value == pytest.approx(by_hand)
    assert found.certainty.gain.value != found.certainty.intervals["detector"].value


@pytest.mark.slow
def test_a_gain_vanishes_under_permuted_labels(case):
    scores = case.outcome.test.values
    labels = scores > np.nanquantile(scores, 0.9)  # those that this very detector finds best
    found = case.assessed(labels, RIVALS).certainty
    assert found.gain.value == pytest.approx(1)
    assert found.gain.difference.low > 0
    assert " beats the best baseline" in found.gain.sentence
    assert found.permuted.p_value < 0.01
    permuted = case.assessed(np.roll(labels, 130), RIVALS).certainty
    assert permuted.gain.difference.low <= 0
    assert "does not" in permuted.gain.sentence
    assert permuted.permuted.p_value > 0.05


def test_random_scores_are_no_better_than_chance(assessed):
    certainty, random = assessed.certainty, assessed.baselines["random"].metrics
    mean, low, high = certainty.chance["ranking/roc_auc"]
    assert mean == pytest.approx(0.5, abs=0.03)
    assert low - 0.05 < random["ranking/roc_auc"] < high + 0.05
    flagged = certainty.chance["ratio/predicted"]
    assert flagged.mean == pytest.approx(assessed.report.metrics["ratio/predicted"], abs=0.02)


def test_causes_are_those_of_reported_events_alone(case, assessed):
    events = [cause for cause in case.data.root_causes if cause.start >= REPORTED.start]
    assert 0 < len(events) < len(case.data.root_causes)
    assert assessed.causes == root_cause_scores(case.outcome.test.by_feature, events, case.data.test.features)


def test_each_kind_of_reported_anomaly_is_judged_for_every_detector(case, assessed):
    test, outcome = case.data.test, case.baselines["l2"]
    events = [(start - REPORTED.start, stop - REPORTED.start, name) for start, stop, name in case.data.typed_events]
    assert list(assessed.anomaly_types) == ["detector", *BASELINES, UNTRAINED]
    assert assessed.anomaly_types["detector"] == by_anomaly_type(
        assessed.scores, assessed.flags, test.labels[REPORTED], events
    )
    flags = outcome.detector.flag(outcome.test)[REPORTED]
    assert assessed.anomaly_types["l2"] == by_anomaly_type(
        outcome.test.values[REPORTED], flags, test.labels[REPORTED], events
    )
    assert (
        sum(scored.rows for scored in assessed.anomaly_types["l2"]) == test.labels[REPORTED].sum()
    )  # no two types share a row


def test_without_labels_nothing_is_claimed(case):
    found = case.assessed(None)
    assert found.anomaly_types == {}
    assert found.labels is None
    assert found.certainty is None
    assert found.report.undefined["ranking/pr_auc"] == "no labels"
    assert set(found.baselines) == {*BASELINES, UNTRAINED}
    assert np.isfinite(found.scores).all()


def test_normal_rows_alone_leave_no_certainty(case):
    assert case.assessed(np.zeros(400, bool)).certainty is None


# --- whose labels ---


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, {}),
        ({"training_labels": "development"}, {"training": "development"}),
        ({"selection_labels": "selection"}, {"selection": "selection"}),
    ],
    ids=["none", "training", "selection"],
)
def test_labels_of_other_rows_leave_the_flags_deployable(case, changes, parts):
    detector = replace(case.outcome.detector, **changes)
    assert detector.provenance == Provenance(**parts)
    found = report(detector, case.outcome.test, case.outcome.parts, REPORTED)
    assert found.metrics["deployable/f1"] == found.metrics["point/f1"]


def test_labels_of_reported_rows_leave_nothing_deployable(case):
    best = parse(ExperimentConfig, put(VALUES, {"threshold": {"kind": "best_f1"}, "training.epochs": 0}), "oracle")
    oracle = run(best, case.data)
    assert oracle.detector.provenance == Provenance(threshold="test")
    chosen = replace(case.outcome.detector, selection_labels="test")
    for found in (oracle.report, report(chosen, case.outcome.test, case.outcome.parts, REPORTED)):
        assert "deployable/f1" not in found.metrics
        assert found.undefined["deployable/f1"] == "labels of these rows chose the flags"
        assert found.metrics["point/f1"] > 0


# --- sentences ---


@pytest.mark.parametrize(
    ("value", "low", "conclusion_text"),
    [(0.6, 0.01, "beats"), (0.6, -0.1, "does not surely beat"), (0.4, -0.2, "does not beat")],
)
def test_a_gain_says_no_more_than_its_interval(value, low, conclusion_text):
    gain = Gain("l2", value, 0.5, Interval(value - 0.5, low, 0.3))
    assert gain.sentence == (
        f"In PR-AUC the detector ({value:.3f}) {conclusion_text} the best baseline (l2, 0.500): "
        f"difference {value - 0.5:.3f} [{low:.3f}, 0.300]."
    )


# --- scores alone ---

SCORES = np.array([np.nan, 0.9, 0.8, 0.7, 0.1, np.nan])
LABELS = np.array([1, 1, 0, 1, 0, 0], bool)


def test_scores_alone_are_flagged_by_an_oracle_and_say_so():
    found = assessment_from_scores(SCORES, LABELS, "scores")
    assert found.provenance == Provenance(threshold="test")
    assert found.flags.tolist() == [False, True, True, True, False, False]
    assert found.report.metrics["point/f1"] == found.report.metrics["oracle/best_f1"] == pytest.approx(4 / 5)
    assert found.report.undefined["deployable/f1"] == "labels of these rows chose the flags"
    assert found.certainty.gain is None
    assert found.certainty.intervals.keys() == {"detector"}
    assert len(found.certainty.permuted.null) == 3


@pytest.mark.slow
def test_scores_are_assessed_the_same_every_time():
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 50 < 8
    scores = generator.random(300) + 0.3 * labels
    first, second = assessment_from_scores(scores, labels, "a"), assessment_from_scores(scores, labels, "b")
    assert first.certainty == second.certainty
    assert first.certainty.permuted.p_value < 0.05
    assert first.certainty.intervals["detector"].low > first.certainty.chance["ranking/pr_auc"].high


@pytest.mark.parametrize("labels", [np.zeros(6, bool), np.array([1, 0, 0, 0, 0, 1], bool)], ids=["none", "unscored"])
def test_scores_without_a_known_anomaly_get_no_flags(labels):
    found = assessment_from_scores(SCORES, labels, "scores")
    assert found.flags is None
    assert found.thresholds is None
    assert found.certainty is None
    assert found.report.undefined["point/f1"] == "no threshold was given"
