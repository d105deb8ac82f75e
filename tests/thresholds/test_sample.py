import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tsad.thresholds.sample import KEPT, Sample


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.lists(st.floats(-1e9, 1e9)))
def test_few_scores_are_kept_as_they_are(first, second):
    sample = Sample.of(np.array(first)).joined(np.array(second))
    assert sample.values == tuple(sorted(first + second))
    assert sample.count == len(first + second)


def test_many_scores_become_their_quantiles():
    scores = np.random.default_rng(0).exponential(size=3 * KEPT)
    sample = Sample.of(scores)
    assert sample.count == 3 * KEPT
    np.testing.assert_allclose(sample.values, np.quantile(scores, np.linspace(0, 1, KEPT)), rtol=1e-9)


def test_a_thinned_sample_by_hand(monkeypatch):
    monkeypatch.setattr("tsad.thresholds.sample.KEPT", 3)
    sample = Sample.of(np.array([3.0, 0.0, 4.0, 2.0, 1.0]))
    assert (sample.count, sample.values) == (5, (0.0, 2.0, 4.0))
    # each stands for 5/3, and 10 for one: their middles are at 5/6, 15/6, 25/6 and 33/6, that of all at 19/6
    assert sample.joined(np.array([10.0])).values == pytest.approx((0.0, 2.8, 10.0))


def test_batches_come_to_nearly_the_quantiles_of_all_scores():
    generator = np.random.default_rng(0)
    batches = [generator.exponential(size=rows) + place for place, rows in enumerate((20_000, 300, 9_000, 40_000, 5))]
    sample = Sample.of(batches[0])
    for batch in batches[1:]:
        sample = sample.joined(batch)
    scores = np.sort(np.concatenate(batches))
    assert sample.count == len(scores)
    assert (sample.values[0], sample.values[-1]) == (scores[0], scores[-1])
    assert len(sample.values) == KEPT
    ranks = np.searchsorted(scores, sample.values) / len(scores)
    assert np.abs(ranks - np.linspace(0, 1, KEPT)).max() < len(batches) / KEPT


def test_nothing_joined_changes_nothing():
    sample = Sample.of(np.random.default_rng(0).normal(size=2 * KEPT))
    assert sample.joined(np.empty(0)) == sample


def test_many_equal_scores_stay_equal():
    sample = Sample.of(np.full(KEPT + 5, 0.1)).joined(np.full(77, 0.1))
    assert set(sample.values) == {0.1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 2, "values": (2.0, 1.0)}, "ascending values, no more than its count; fit the threshold again"),
        ({"count": 1, "values": (1.0, 2.0)}, "ascending values, no more than its count"),
        ({"count": 0, "values": ()}, "at least 1 item"),
        ({"count": KEPT + 1, "values": (0.0,) * (KEPT + 1)}, f"at most {KEPT} items"),
        ({"count": 1, "values": (float("nan"),)}, "finite number"),
    ],
    ids=["falls", "count", "empty", "long", "nan"],
)
def test_a_damaged_sample_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Sample(**values)
