import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.adjusted import (
    adjust,
    adjusted_f1,
    best_adjusted_f1,
    best_pa_k_area,
    pa_k_area,
    pa_k_curve,
)
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.series import runs
from tsad.sweep import sweep

few_scores = st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0, np.inf])
scored = st.lists(st.tuples(few_scores, st.booleans()), min_size=1, max_size=20)
flagged = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def bools(text):
    return np.array([letter == "1" for letter in text])


def columns(rows):
    return np.array([value for value, _ in rows]), np.array([label for _, label in rows])


@pytest.fixture(scope="module")
def machine(smd_folder):
    """Scores and labels of a real machine."""
    data = SmdSpec(kind="smd", machine="1-2").load(smd_folder)
    distances = np.abs(data.test.values - data.train.values.mean(axis=0, dtype=np.float64)).mean(axis=1)
    return distances.round(4), data.test.labels


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("000100", "011100", "011100"),
        ("001000", "111000", "111000"),  # TSB-AD: 011000
        ("000001", "000111", "000111"),
        ("100010", "011001", "100010"),  # beside a segment, not in it
        ("010010", "011011", "011011"),
        ("010000", "011011", "011000"),
        ("000000", "011011", "000000"),
        ("011010", "000000", "011010"),
    ],
)
def test_a_segment_with_a_flag_is_flagged_throughout(flags, labels, expected):
    given_flags = bools(flags)
    np.testing.assert_array_equal(adjust(given_flags, bools(labels)), bools(expected))
    np.testing.assert_array_equal(given_flags, bools(flags))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0443, 0.3504688005172971), (0.073014, 0.8241590214067278), (0.09945, 0.9630297565374211)],
)
def test_the_adjusted_f1_of_a_real_machine_is_that_of_tsb_ad(machine, threshold, expected):
    scores, labels = machine
    assert adjusted_f1(scores > threshold, labels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "flags", "expected", "theirs"),
    [
        ("000000000111", "000000000001", 1.0, 1.0),
        ("011001100110", "100100010000", 0.0, 0.0),
        ("111000111000", "111000000000", 2 / 3, 2 / 3),
        ("110001110011", "010000100001", 1.0, 12 / 13),
        ("111000000000", "001000100000", 6 / 7, 2 / 3),
    ],
)
def test_the_adjusted_f1_by_hand_differs_from_tsb_ad_only_at_row_0(labels, flags, expected, theirs):
    adjusted = adjust(bools(flags), bools(labels))
    assert adjusted_f1(bools(flags), bools(labels)) == pytest.approx(expected)
    adjusted[0] = flags[0] == "1"
    assert precision_recall_f1(adjusted, bools(labels))[2] == pytest.approx(theirs)


def test_pa_k_by_hand():
    # one of two rows is flagged: 50 % is more than 49, and not more than 50
    curve = pa_k_curve(bools("1000"), bools("1100"))
    np.testing.assert_allclose(curve, [1.0] * 50 + [2 / 3] * 51)
    assert pa_k_area(bools("1000"), bools("1100")) == pytest.approx((49 * 1 + 5 / 6 + 50 * 2 / 3) / 100)


@given(flagged)
def test_pa_k_is_that_of_plain_loops_between_the_adjusted_and_the_plain_f1(rows):
    flags, labels = columns(rows)
    curve = pa_k_curve(flags, labels)
    for percentage in range(101):
        adjusted = flags.copy()
        for start, stop in runs(labels):
            if sum(flags[start:stop]) / (stop - start) > percentage / 100:
                adjusted[start:stop] = True
        assert curve[percentage] == pytest.approx(precision_recall_f1(adjusted, labels)[2])
    assert curve[0] == pytest.approx(adjusted_f1(flags, labels))
    assert curve[100] == pytest.approx(precision_recall_f1(flags, labels)[2])
    assert curve[100] - 1e-12 <= pa_k_area(flags, labels) <= curve[0] + 1e-12


@given(scored)
def test_the_best_adjusted_values_are_those_of_trying_every_score(rows):
    scores, labels = columns(rows)
    every = [scores >= threshold for threshold in np.unique(scores)]
    assert best_adjusted_f1(scores, labels) == pytest.approx(max(adjusted_f1(flags, labels) for flags in every))
    curve = np.max([pa_k_curve(flags, labels) for flags in every], axis=0)
    assert best_pa_k_area(scores, labels) == pytest.approx((curve.sum() - (curve[0] + curve[100]) / 2) / 100)


@given(scored)
def test_only_the_order_of_scores_matters(rows):
    scores, labels = columns(rows)
    others = np.arctan(scores) ** 3
    assert best_adjusted_f1(scores, labels) == best_adjusted_f1(others, labels)
    assert best_pa_k_area(scores, labels) == best_pa_k_area(others, labels)


def test_the_best_adjusted_f1_by_hand():
    # from 4 on: 3 of 5 hits, 1 false, F1 = 6/9; from 2 on: 5 of 5, 3 false, F1 = 10/13
    scores, labels = np.array([9.0, 4.0, 0.0, 1.0, 3.0, 3.0, 2.0, 0.0]), bools("01110011")
    assert best_adjusted_f1(scores, labels) == pytest.approx(10 / 13)


def test_one_row_of_a_long_segment_is_enough():
    labels = np.arange(250) < 200
    assert best_adjusted_f1((np.arange(250) == 77).astype(float), labels) == 1
    # K = 0 is 1; from 1 % on, all 250 rows must be flagged for the 200 hits
    assert best_pa_k_area((np.arange(250) == 77).astype(float), labels) == pytest.approx(
        (1 / 2 + 99.5 * 400 / 450) / 100
    )


def test_a_random_score_is_adjusted_to_much(machine):
    labels = machine[1]
    chance = np.random.default_rng(0).random(len(labels))
    assert sweep(chance, labels).f1.max() < 0.05
    assert best_adjusted_f1(chance, labels) > 0.5


@pytest.mark.parametrize("metric", [best_adjusted_f1, best_pa_k_area])
def test_the_best_of_no_anomaly_is_0_and_of_nothing_else_1(metric):
    assert metric(np.arange(4.0), np.zeros(4, bool)) == 0
    assert metric(np.arange(4.0), np.ones(4, bool)) == pytest.approx(1)


@pytest.mark.parametrize("metric", [adjusted_f1, pa_k_area])
@pytest.mark.parametrize(("flags", "labels"), [("0000", "0110"), ("0110", "0000"), ("0000", "0000")])
def test_without_flags_or_anomalies_every_value_is_0(metric, flags, labels):
    assert metric(bools(flags), bools(labels)) == 0
