"""What two detectors are worth on the same rows, and when one replaces the other."""

from dataclasses import replace

import numpy as np
import pytest

from tests.examples import detector_of, sensors
from tsad.config import ExperimentConfig
from tsad.data.split import SplitSpec
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.errors import DataError, SpecError
from tsad.evaluation.pointwise import pr_auc
from tsad.experiment import run
from tsad.models.baselines.l2 import L2Spec
from tsad.selection.comparison import Comparison, GateSpec, compare
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import parse
from tsad.thresholds.best_f1 import BestF1Spec

INJECTION = LabelFreeSpec(kind="label_free", edge=10, draws=2)
EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"gap": 40},
    "window": {"length": 8},
    "model": {"kind": "window_linear"},
}


@pytest.fixture(scope="module")
def outcomes():
    """What a detector and chance come to, on the same data."""
    experiments = [
        parse(ExperimentConfig, EXPERIMENT | changes, "experiment") for changes in ({}, {"model": {"kind": "random"}})
    ]
    data = experiments[0].data.load(None)
    return data, [run(experiment, data) for experiment in experiments]


@pytest.fixture(scope="module")
def data(outcomes):
    return outcomes[0]


@pytest.fixture(scope="module")
def good(outcomes):
    return outcomes[1][0].detector


@pytest.fixture(scope="module")
def bad(outcomes):
    return outcomes[1][1].detector


def compared(challenger, champion, data, **gate):
    return compare(challenger, champion, (data, SplitSpec(gap=40)), parse(GateSpec, gate, "gate"), INJECTION)


def without_labels(data):
    return replace(data, test=replace(data.test, labels=None))


@pytest.mark.parametrize("kind", ["labeled", "label_free"])
def test_the_better_detector_replaces_the_worse_and_not_the_other_way_round(data, good, bad, kind):
    up, down = compared(good, bad, data, kind=kind), compared(bad, good, data, kind=kind)
    assert up.passed
    assert not down.passed
    assert (up.challenger, up.champion) == (down.champion, down.challenger)
    assert up.challenger > up.champion + 0.1
    assert up.difference.value == pytest.approx(up.challenger - up.champion)
    assert up.difference.low < up.difference.value < up.difference.high


@pytest.mark.parametrize("kind", ["labeled", "label_free"])
def test_a_detector_does_not_replace_itself_even_without_a_margin(data, good, kind):
    found = compared(good, good, data, kind=kind, margin=0.0)
    assert found.challenger == found.champion > 0
    assert not found.passed


def test_a_difference_as_large_as_the_margin_is_not_enough():
    found = Comparison("ranking/pr_auc", "rows", 0.5, 0.75, None, 0.25, "test")
    assert not found.passed
    assert replace(found, margin=0.24).passed
    assert found.sentence == (
        "In ranking/pr_auc on rows, the challenger has 0.750 and the champion 0.500: difference 0.250, not above the margin "
        "of 0.25."
    )


def test_labeled_rows_are_compared_by_the_metric_of_the_report(outcomes, data, good, bad):
    found = compared(good, bad, data, metric="ranking/vus_pr")
    assert found.labels_used == "test"
    assert found.challenger == outcomes[1][0].report.metrics["ranking/vus_pr"]
    assert found.difference is None
    assert "393 labeled rows of the test part of synthetic-0, from row 0 on" in found.rows


def test_rows_without_labels_are_compared_by_injections_that_no_trial_has_met(outcomes, data, good, bad):
    found = compared(good, bad, without_labels(data))
    assert found.labels_used == "nothing"
    unseen = INJECTION.model_copy(update={"seed": INJECTION.seed + 1})
    assert found.challenger == unseen.value(outcomes[1][0]) != INJECTION.value(outcomes[1][0])
    assert "2 injections of anomalies into the 60 validation rows" in found.sentence


@pytest.mark.parametrize("label", [False, True])
def test_labels_of_one_kind_say_nothing_so_nobody_reads_them(data, good, bad, label):
    one_kind = replace(data, test=replace(data.test, labels=np.full(len(data.test), label)))
    assert compared(good, bad, one_kind).labels_used == "nothing"


def test_rows_that_one_of_them_does_not_score_count_for_neither(data, good):
    patient = detector_of(L2Spec(kind="l2"), data.train, 30, ScoringSpec(over="last"))
    found = compared(patient, good, data)
    silent = max(patient.scorer.lookback, good.scorer.lookback)
    labels = data.test.labels[silent:]
    assert found.challenger == pr_auc(patient.score(data.test).values[silent:], labels)
    assert found.champion == pr_auc(good.score(data.test).values[silent:], labels)


def test_a_champion_that_looks_farther_than_the_edge_is_judged_on_fewer_rows(data, good):
    patient = detector_of(L2Spec(kind="l2"), data.train, 18, ScoringSpec(over="last"))
    assert patient.scorer.lookback > INJECTION.edge
    assert np.isfinite(compared(good, patient, data, kind="label_free").champion)


def test_a_labeled_gate_needs_labels(data, good, bad):
    with pytest.raises(
        DataError, match=r"needs labeled test rows, but synthetic-0 has none; set gate\.kind: label_free"
    ):
        compared(good, bad, without_labels(data), kind="labeled")


def test_a_metric_that_the_rows_do_not_define_is_named(data, good, bad):
    scores = good.score(data.test)
    oracle = Detector(good.scorer, BestF1Spec(kind="best_f1").fit(scores.values, data.test.labels))
    with pytest.raises(DataError, match=r"do not define deployable/f1 \(labels of these rows chose the flags\)"):
        compared(oracle, bad, data, metric="deployable/f1")


def test_detectors_of_other_features_cannot_be_compared(data, good):
    stranger = detector_of(L2Spec(kind="l2"), sensors(120), 8, ScoringSpec())
    for labeled in (data, without_labels(data)):
        with pytest.raises(DataError, match=r"features must be \['s0', .* but got \['sensor_00'"):
            compared(good, stranger, labeled)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            {"kind": "label_free", "metric": "ranking/vus_pr"},
            "has no metric .* metric=ranking/vus_pr; leave the metric out",
        ),
        ({"kind": "labeled", "metric": None}, "has no metric and any other has one, but got kind=labeled"),
        ({"metric": "operation/false_alarms"}, "metric: .*'ranking/pr_auc'"),
        ({"margin": -0.1}, "margin: .* greater than or equal to 0"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(gate, message):
    with pytest.raises(SpecError, match=message):
        parse(GateSpec, gate, "gate")


@pytest.mark.parametrize("gate", [{}, {"kind": "label_free"}, {"kind": "labeled", "margin": 0.0}])
def test_a_gate_is_read_from_what_it_writes(gate):
    found = parse(GateSpec, gate, "gate")
    assert parse(GateSpec, found.model_dump(mode="json"), "gate") == found
