import numpy as np
import pytest

from tsad.evaluation.anomaly_types import AnomalyTypeScores, by_anomaly_type

SCORES = np.array([np.nan, 0.9, 0.1, 0.8, 0.3, 0.2, 0.7, 0.4, 0.6, 0.5, np.nan])
LABELS = np.array([1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0], bool)
FLAGS = np.array([0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0], bool)
ANOMALY_TYPES = [(0, 2, "spike"), (3, 5, "drift"), (7, 9, "spike"), (8, 9, "freeze")]


def test_kinds_by_hand():
    spike, drift, freeze = by_anomaly_type(SCORES, FLAGS, LABELS, ANOMALY_TYPES)
    # spike: rows 1, 7, 8 (.9, .4, .6) against the normal rows 2, 5, 6, 9 (.1, .2, .7, .5); hits at ranks 1, 3 and 5 of 7
    assert spike == AnomalyTypeScores(
        "spike", 2, 3, 1 / 2, 1 / 3, pytest.approx((1 + 2 / 3 + 3 / 5) / 3), pytest.approx(3 / 7)
    )
    # drift: rows 3, 4 (.8, .3): hits at ranks 1 and 4 of 6
    assert drift == AnomalyTypeScores("drift", 1, 2, 1.0, 1 / 2, pytest.approx((1 + 2 / 4) / 2), pytest.approx(2 / 6))
    # freeze shares row 8 (.6) with a spike: a hit at rank 2 of 5
    assert freeze == AnomalyTypeScores("freeze", 1, 1, 0.0, 0.0, 1 / 2, 1 / 5)


def test_scores_of_other_kinds_do_not_matter():
    high = np.where(np.arange(11) == 3, 99.0, SCORES)
    before, after = (by_anomaly_type(scores, FLAGS, LABELS, ANOMALY_TYPES) for scores in (SCORES, high))
    assert [each for each in after if each.anomaly_type != "drift"] == [
        each for each in before if each.anomaly_type != "drift"
    ]


def test_events_are_cut_to_the_rows_and_those_without_a_score_take_no_part():
    spike, unscored = by_anomaly_type(
        SCORES, FLAGS, LABELS, [(-3, 0, "early"), (-3, 2, "spike"), (0, 1, "unscored"), (11, 13, "late")]
    )
    assert spike[:5] == ("spike", 1, 1, 1.0, 1.0)
    assert unscored == AnomalyTypeScores("unscored", 0, 0, None, None, None, None)


def test_without_flags_or_normal_rows_there_is_less_to_say():
    (spike,) = by_anomaly_type(SCORES[:2], None, LABELS[:2], [(0, 2, "spike")])
    assert spike == AnomalyTypeScores("spike", 1, 1, None, None, None, None)
