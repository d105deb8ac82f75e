import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsad.sweep import sweep

tied = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1e-300, -2.0])
rows = st.lists(st.tuples(tied | st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=25).filter(
    lambda drawn: any(label for _, label in drawn)
)


def brute_force(scores, labels):
    """Yields (precision, recall, F1) of flagging everything at or above each unique score, ascending."""
    for threshold in np.unique(scores):
        flags = scores >= threshold
        hits = (flags & labels).sum()
        yield hits / flags.sum(), hits / labels.sum(), 2 * hits / (flags.sum() + labels.sum())


@given(rows)
def test_a_sweep_equals_brute_force(drawn):
    scores, labels = np.array([score for score, _ in drawn]), np.array([label for _, label in drawn])
    swept = sweep(scores, labels)
    expected = np.array(list(brute_force(scores, labels)))
    np.testing.assert_allclose(np.stack([swept.precision, swept.recall, swept.f1], axis=1), expected, rtol=1e-12)


@given(rows)
def test_scores_above_a_threshold_are_those_that_its_metrics_count(drawn):
    scores, labels = np.array([score for score, _ in drawn]), np.array([label for _, label in drawn])
    swept = sweep(scores, labels)
    for threshold, recall, score in zip(swept.thresholds, swept.recall, np.unique(scores), strict=True):
        np.testing.assert_array_equal(scores > threshold, scores >= score)
        assert ((scores > threshold) & labels).sum() / labels.sum() == recall


def test_the_best_of_equals_is_the_lowest_threshold():
    # at 1: 2 of 3 flagged rows hit, F1 = 0.8; at 2: 1 of 2, 0.5; at 3: 1 of 1, F1 = 2/3
    swept = sweep(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    np.testing.assert_allclose(swept.f1, [0.8, 0.5, 2 / 3])
    assert swept.best == 0
    equal = sweep(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, False, False, True]))  # F1 2/3, 0.4, 2/3
    np.testing.assert_allclose(equal.f1, [2 / 3, 0.4, 2 / 3])
    assert equal.best == 0
