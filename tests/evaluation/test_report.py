import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.evaluation.pointwise import pr_auc, precision_recall_f1, roc_auc
from tsad.evaluation.ranges import range_scores
from tsad.evaluation.report import evaluate, of_flags, of_scores
from tsad.evaluation.rows import STRIDE, WINDOW
from tsad.evaluation.volume import volume_under_surface

SCORES = np.array([np.nan, 0.1, 0.4, 0.35, 0.8])
FLAGS = np.array([False, False, True, False, True])
LABELS = np.array([True, False, False, True, True])

RANKINGS = {f"ranking/{name}" for name in ("roc_auc", "pr_auc", "vus_roc", "vus_pr")}
ORACLES = {f"oracle/best_{name}" for name in ("f1", "event_f1", "affiliation_f1", "range_f1", "point_adjusted_f1")}
OF_FLAGS = {f"{kind}/f1" for kind in ("point", "event", "affiliation", "range", "point_adjusted")} | {"pa_k/area"}
TOO_FEW_WINDOWS = {"window/pr_auc": f"4 scored rows do not hold windows of {WINDOW} rows of both kinds"}


def test_a_report_by_hand():
    # one event of two rows, of which the second is flagged; the other flag is false
    report = evaluate(SCORES, FLAGS, LABELS, rows_per_day=24)
    expected = {
        "rows/scored": 4,
        "rows/unscored": 1,
        "ratio/predicted": 1 / 2,
        "ratio/true": 1 / 2,
        "ranking/roc_auc": 3 / 4,
        "ranking/pr_auc": 5 / 6,
        "oracle/best_precision": 2 / 3,
        "oracle/best_recall": 1.0,
        "oracle/best_f1": 4 / 5,
        "oracle/best_threshold": 0.35,
        "oracle/best_event_f1": 1.0,
        "oracle/best_point_adjusted_f1": 1.0,
        "point/precision": 1 / 2,
        "point/recall": 1 / 2,
        "point/f1": 1 / 2,
        "deployable/f1": 1 / 2,
        "event/precision": 1 / 2,
        "event/recall": 1.0,
        "event/f1": 2 / 3,
        "range/precision": 1 / 2,
        "range/recall": 0.2 + 0.8 / 2,
        "range/f1": 6 / 11,
        "point_adjusted/f1": 4 / 5,
        "pa_k/area": (50 * 4 / 5 + 50 * 1 / 2) / 100 - (4 / 5 - 1 / 2) / 2 / 100,
        "operation/delay_rows": 1,
        "operation/false_alarms": 1,
        "operation/false_alarms_per_day": 24 / 2,
    }
    assert {name: report.metrics[name] for name in expected} == pytest.approx(expected)
    elsewhere = {"vus_roc", "vus_pr", "best_affiliation_f1", "best_range_f1", "precision", "recall", "f1"}
    assert {name.partition("/")[2] for name in report.metrics.keys() - expected.keys()} == elsewhere
    assert report.undefined == TOO_FEW_WINDOWS


def test_each_metric_is_that_of_its_own_room():
    generator = np.random.default_rng(0)
    labels = np.repeat(generator.random(40) < 0.3, 10)
    scores = generator.random(400) + 0.3 * labels
    flags = scores > 0.9
    by_scores, by_flags = of_scores(scores, labels), of_flags(flags, labels)
    assert (by_scores["ranking/vus_roc"], by_scores["ranking/vus_pr"]) == volume_under_surface(scores, labels)[-2:]
    assert tuple(by_flags[f"range/{name}"] for name in ("precision", "recall", "f1")) == range_scores(flags, labels)
    assert len({*by_scores.values(), *by_flags.values()}) > 18


def test_whose_labels_chose_the_threshold_decides_what_is_deployable():
    for threshold_from in ("nothing", "development", "selection"):
        assert evaluate(SCORES, FLAGS, LABELS, threshold_from=threshold_from).metrics["deployable/f1"] == 0.5
    report = evaluate(SCORES, FLAGS, LABELS, threshold_from="test")
    assert "deployable/f1" not in report.metrics
    assert report.undefined == {"deployable/f1": "labels of these rows chose the flags"} | TOO_FEW_WINDOWS
    assert report.metrics["point/f1"] == 0.5


def test_without_labels_only_rows_are_counted():
    report = evaluate(SCORES, FLAGS, None)
    assert report.metrics == {"rows/scored": 4, "rows/unscored": 1, "ratio/predicted": 0.5}
    assert report.undefined == dict.fromkeys(RANKINGS | ORACLES | OF_FLAGS | {"deployable/f1"}, "no labels")


def test_without_flags_there_is_no_metric_of_them():
    report = evaluate(SCORES, None, LABELS)
    assert {name.partition("/")[0] for name in report.metrics} == {"rows", "ratio", "ranking", "oracle"}
    assert "ratio/predicted" not in report.metrics
    assert report.undefined == (dict.fromkeys(OF_FLAGS | {"deployable/f1"}, "no threshold was given") | TOO_FEW_WINDOWS)
    assert report.metrics["ranking/roc_auc"] == 0.75


def test_rows_of_anomalies_alone_define_no_ranking():
    report = evaluate(SCORES, FLAGS, np.ones(5, bool))
    assert report.undefined == dict.fromkeys(RANKINGS | ORACLES, "all 4 rows are anomalous") | TOO_FEW_WINDOWS
    assert report.metrics["point/recall"] == 0.5
    assert not (RANKINGS | ORACLES) & report.metrics.keys()


def test_normal_rows_alone_define_nothing_but_false_alarms():
    report = evaluate(SCORES, FLAGS, np.zeros(5, bool), rows_per_day=24)
    missing = RANKINGS | ORACLES | OF_FLAGS | {"deployable/f1"}
    assert report.undefined == dict.fromkeys(missing, "all 4 rows are normal") | TOO_FEW_WINDOWS
    assert report.metrics == {
        "rows/scored": 4,
        "rows/unscored": 1,
        "ratio/predicted": 0.5,
        "ratio/true": 0,
        "operation/false_alarms": 2,
        "operation/false_alarms_per_day": 2 * 24 / 4,
    }


def test_rows_without_any_score_define_nothing():
    report = evaluate(np.full(5, np.nan), FLAGS, LABELS)
    assert report.metrics == {"rows/scored": 0, "rows/unscored": 5}
    assert set(report.undefined.values()) == {"no row has a score"}


def test_windows_are_named_apart_and_counted_by_hand():
    # windows start at rows 0, 32, ..., 160; those at 96, 128 and 160 hold the event, the last two the flag
    rows = WINDOW + 5 * STRIDE
    labels, scores = np.zeros(rows, bool), np.zeros(rows)
    labels[200:210] = True
    scores[240] = 1
    metrics = evaluate(scores, scores > 0, labels).metrics
    assert metrics["window/ratio"] == 3 / 6
    assert metrics["window/f1"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert metrics["window/roc_auc"] == roc_auc(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1], bool))
    assert metrics["window/pr_auc"] == pytest.approx(2 / 3 + 1 / 3 * 3 / 6)
    assert metrics["oracle/best_window_f1"] == metrics["window/f1"]
    assert metrics["point/f1"] == 0


def test_windows_of_one_kind_say_so():
    labels = np.arange(WINDOW) == 3
    report = evaluate(np.arange(WINDOW, dtype=float), None, labels)
    assert report.metrics["window/ratio"] == 1
    assert "window/roc_auc" not in report.metrics
    assert report.undefined["window/pr_auc"] == "128 scored rows do not hold windows of 128 rows of both kinds"


@given(st.lists(st.tuples(st.floats(-100, 100) | st.just(np.nan), st.booleans()), min_size=1, max_size=30))
def test_every_metric_is_a_number_and_unscored_rows_take_no_part(rows):
    scores, labels = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    with np.errstate(invalid="ignore"):
        report = evaluate(scores, scores > 0, labels)
    known = ~np.isnan(scores)
    again = evaluate(scores[known], scores[known] > 0, labels[known])
    assert np.isfinite(list(report.metrics.values())).all()
    assert report.metrics | {"rows/unscored": 0} == again.metrics
    for kind in ("", "event_", "range_", "affiliation_", "point_adjusted_"):
        own = report.metrics.get(f"{kind.removesuffix('_') or 'point'}/f1", 0)
        assert own <= report.metrics.get(f"oracle/best_{kind}f1", 1) + 1e-12


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_best_threshold_makes_the_best_flags(rows):
    scores, labels = np.array([float(score) for score, _ in rows]), np.array([label for _, label in rows])
    if labels.all() or not labels.any():
        return
    found = of_scores(scores, labels)
    best = precision_recall_f1(scores > found["oracle/best_threshold"], labels)
    assert best == pytest.approx([found[f"oracle/best_{name}"] for name in ("precision", "recall", "f1")])
    assert found["ranking/pr_auc"] == pr_auc(scores, labels)
