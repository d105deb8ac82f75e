import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.evaluation.report import evaluate

SCORES = np.array([np.nan, 0.1, 0.4, 0.35, 0.8])
FLAGS = np.array([False, False, True, False, True])
LABELS = np.array([True, False, False, True, True])


def test_a_report_by_hand():
    report = evaluate(SCORES, FLAGS, LABELS)
    assert report.metrics == pytest.approx(
        {
            "rows/scored": 4,
            "rows/unscored": 1,
            "ratio/predicted": 1 / 2,
            "ratio/true": 1 / 2,
            "point/precision": 1 / 2,
            "point/recall": 1 / 2,
            "point/f1": 1 / 2,
            "ranking/roc_auc": 3 / 4,
            "ranking/pr_auc": 5 / 6,
            "oracle/best_precision": 2 / 3,
            "oracle/best_recall": 1.0,
            "oracle/best_f1": 4 / 5,
            "oracle/best_level": 0.35,
        }
    )
    assert not report.undefined


def test_without_labels_only_rows_are_counted():
    report = evaluate(SCORES, FLAGS, None)
    assert report.metrics == {"rows/scored": 4, "rows/unscored": 1, "ratio/predicted": 0.5}
    assert report.undefined["point/f1"] == report.undefined["ranking/roc_auc"] == "no labels"


def test_without_flags_there_is_no_point_metric():
    report = evaluate(SCORES, None, LABELS)
    assert not [name for name in report.metrics if name.startswith("point/")]
    assert "ratio/predicted" not in report.metrics
    assert report.undefined == {"point/f1": "no threshold was given"}
    assert report.metrics["ranking/roc_auc"] == 0.75


@pytest.mark.parametrize(("label", "kind"), [(True, "anomalous"), (False, "normal")])
def test_rows_of_one_kind_define_no_ranking(label, kind):
    report = evaluate(SCORES, FLAGS, np.full(5, label))
    undefined = {"oracle/best_f1", "ranking/roc_auc", "ranking/pr_auc"}
    assert report.undefined == dict.fromkeys(undefined, f"all 4 rows are {kind}")
    assert not undefined & report.metrics.keys()
    assert report.metrics["point/recall"] == (0.5 if label else 0.0)


def test_rows_without_any_score_define_nothing():
    report = evaluate(np.full(5, np.nan), FLAGS, LABELS)
    assert report.metrics == {"rows/scored": 0, "rows/unscored": 5}
    assert set(report.undefined.values()) == {"no row has a score"}


@given(st.lists(st.tuples(st.floats(-100, 100) | st.just(np.nan), st.booleans()), min_size=1, max_size=30))
def test_every_metric_is_a_number_and_unscored_rows_take_no_part(rows):
    scores, labels = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    with np.errstate(invalid="ignore"):
        report = evaluate(scores, scores > 0, labels)
    known = ~np.isnan(scores)
    again = evaluate(scores[known], scores[known] > 0, labels[known])
    assert np.isfinite(list(report.metrics.values())).all()
    assert report.metrics | {"rows/unscored": 0} == again.metrics
    assert report.metrics.get("point/f1", 0) <= report.metrics.get("oracle/best_f1", 1) + 1e-12
