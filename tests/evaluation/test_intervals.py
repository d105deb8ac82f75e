import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon
from sklearn.metrics import average_precision_score

from tsad.evaluation.intervals import (
    BLOCKS,
    Interval,
    block_weights,
    interval,
    paired_difference,
    resampled_pr_auc,
)


def drawn(seed=0):
    return np.random.default_rng(seed)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_weighted_pr_auc_is_scikit_learns_on_repeated_rows(rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    scores, labels = scores.astype(float), labels.astype(bool)
    once, weighted = resampled_pr_auc(scores, labels, np.stack([np.ones_like(weights), weights]))
    for found, counts in ((once, np.ones_like(weights)), (weighted, weights)):
        repeated = np.repeat(labels, counts)
        if repeated.any():
            assert found == pytest.approx(average_precision_score(repeated, np.repeat(scores, counts)))
        else:
            assert np.isnan(found)


def test_blocks_are_drawn_whole_and_as_many_as_there_are():
    weights = block_weights(10 * BLOCKS, drawn(), 40)
    by_block = weights.reshape(40, BLOCKS, 10)
    assert (by_block == by_block[:, :, :1]).all()
    assert (weights.sum(axis=1) == 10 * BLOCKS).all()
    assert by_block[:, :, 0].max() > 1
    assert len(np.unique(weights, axis=0)) == 40


@pytest.mark.parametrize("rows", [1, 2, 7, BLOCKS - 1, BLOCKS + 1, 12345])
def test_resamples_of_any_length_have_about_as_many_rows(rows):
    weights = block_weights(rows, drawn(), 30)
    assert weights.shape == (30, rows)
    np.testing.assert_allclose(weights.sum(axis=1), rows, atol=BLOCKS)


def test_an_interval_leaves_out_two_and_a_half_percent_on_either_side():
    found = interval(50.0, np.append(np.arange(101.0), np.nan))
    assert found == Interval(50.0, 2.5, 97.5)
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_the_interval_of_a_mean_covers_it_95_times_of_100():
    cases, generator = 30, drawn(1)
    covered = 0
    for _ in range(300):
        sample = generator.normal(1.0, 2.0, size=cases)
        low, high = paired_difference(sample, np.zeros(cases), generator, resamples=400).difference[1:]
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.slow
def test_the_block_interval_of_pr_auc_covers_it_where_row_by_row_would_not():
    def stretches(generator, rows=1000, length=20):
        events = np.repeat(generator.random(rows // length) < 0.3, length)
        return events + 1.5 * np.repeat(generator.normal(size=rows // length), length), events

    truth = average_precision_score(*stretches(drawn(9), rows=400_000)[::-1])
    generator, covered = drawn(2), np.zeros(2)
    for _ in range(60):
        scores, labels = stretches(generator)
        rows = generator.multinomial(1000, np.full(1000, 1 / 1000), size=80)
        for place, weights in enumerate((block_weights(1000, generator, 80), rows)):
            low, high = interval(0.0, resampled_pr_auc(scores, labels, weights))[1:]
            covered[place] += low <= truth <= high
    assert covered[0] / 60 >= 0.85
    assert covered[1] / 60 < 0.6


def test_a_paired_difference_by_hand():
    first, second = np.array([0.5, 0.7, 0.4, 0.9, 0.6]), np.array([0.4, 0.5, 0.7, 0.5, 0.1])
    found = paired_difference(first, second, drawn())
    assert found.difference.value == pytest.approx((0.1 + 0.2 - 0.3 + 0.4 + 0.5) / 5)
    assert (found.wins, found.cases) == (4, 5)
    # ranks of the differences 1, 2, 3, 4, 5; the loss has rank 3: 3 or less by 5 of the 32 signs, on either side
    assert found.p_value == pytest.approx(2 * 5 / 32)
    assert found.p_value == pytest.approx(wilcoxon(first, second).pvalue)
    assert -0.3 < found.difference.low < found.difference.value < found.difference.high < 0.5


def test_the_other_way_round_is_the_same_with_the_other_sign():
    first, second = drawn(3).random((2, 12))
    there, back = (paired_difference(*pair, drawn()) for pair in ((first, second), (second, first)))
    np.testing.assert_allclose(back.difference, [-there.difference[place] for place in (0, 2, 1)])
    assert back.p_value == there.p_value
    assert back.wins + there.wins == 12


def test_what_never_differs_is_no_better():
    found = paired_difference(np.ones(4), np.ones(4), drawn())
    assert (found.difference, found.p_value, found.wins) == ((0, 0, 0), 1.0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 12, 28])
def test_ties_and_cases_that_do_not_differ_are_borne(count):
    first = np.arange(count) % 2 / 2
    found = paired_difference(first, np.zeros(count), drawn())
    assert 0 < found.p_value <= 1
    assert found.wins == count // 2


@pytest.mark.parametrize(("first", "second"), [(1, 1), (0, 0), (3, 2)])
def test_a_comparison_of_fewer_than_two_cases_is_refused(first, second):
    with pytest.raises(
        ValueError, match=rf"needs two cases or more, the same of both, but got \({first},\), \({second},\)"
    ):
        paired_difference(np.zeros(first), np.zeros(second), drawn())
