import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from tsad.evaluation.pointwise import pr_auc, precision_recall_f1, roc_auc


def bools(text):
    return np.array([letter == "1" for letter in text])


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("0110", "0011", (1 / 2, 1 / 2, 1 / 2)),
        ("1110", "0110", (2 / 3, 1.0, 4 / 5)),
        ("0000", "0110", (0.0, 0.0, 0.0)),
        ("0110", "0000", (0.0, 0.0, 0.0)),
        ("0000", "0000", (0.0, 0.0, 0.0)),
        ("1111", "1111", (1.0, 1.0, 1.0)),
        ("1001", "0110", (0.0, 0.0, 0.0)),
    ],
)
def test_precision_recall_and_f1_by_hand(flags, labels, expected):
    assert precision_recall_f1(bools(flags), bools(labels)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_precision_recall_and_f1_are_those_of_scikit_learn(rows):
    flags, labels = np.array(rows, bool).T
    expected = precision_recall_fscore_support(labels, flags, average="binary", zero_division=0)[:3]
    assert precision_recall_f1(flags, labels) == pytest.approx(expected)


def test_roc_auc_is_the_share_of_pairs_in_the_right_order():
    # pairs (anomalous, normal): 0.35 > 0.1, 0.35 < 0.4, 0.8 > both
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), bools("0011")) == pytest.approx(3 / 4)
    assert roc_auc(np.array([1.0, 1.0]), bools("01")) == 0.5


def test_pr_auc_is_the_mean_precision_at_each_hit():
    # ranked: 0.8 hit (1/1), 0.4 miss, 0.35 hit (2/3)
    assert pr_auc(np.array([0.1, 0.4, 0.35, 0.8]), bools("0011")) == pytest.approx((1 + 2 / 3) / 2)
    assert pr_auc(np.ones(8), bools("10000000")) == pytest.approx(1 / 8)
