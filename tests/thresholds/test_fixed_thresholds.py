import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tsad.thresholds.best_f1 import BestF1Spec
from tsad.thresholds.deviation import SigmaSpec
from tsad.thresholds.mad import MadSpec
from tsad.thresholds.percentile import PERCENTILES, PercentileSpec, sweep_percentiles
from tsad.thresholds.threshold import GivenThreshold

SIGMA, MAD = SigmaSpec(kind="sigma"), MadSpec(kind="mad")


def test_a_given_threshold_by_hand():
    threshold = GivenThreshold(value=2.0)
    assert threshold.flags(np.array([1.0, 2.0, 2.0000001, np.nan, np.inf])).tolist() == [0, 0, 1, 0, 1]
    assert threshold.method == "given"


# --- percentile ---


def test_a_percentile_by_hand():
    scores = np.array([4.0, 1.0, np.nan, 3.0, 2.0, 5.0])
    threshold = PercentileSpec(percentile=50).fit(scores)
    assert (threshold.value, threshold.method) == (3.0, "percentile 50")
    assert PercentileSpec(percentile=90).fit(scores).value == pytest.approx(4.6)
    assert PercentileSpec(percentile=100).fit(scores).value == 5.0


def test_an_updated_percentile_by_hand():
    threshold = PercentileSpec(percentile=50).fit(np.array([1.0, 2.0, 3.0])).update(np.array([9.0, np.nan, 8.0]))
    assert threshold.value == 3.0  # of 1 2 3 8 9


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 100))
def test_a_percentile_flags_no_more_than_the_rest(scores, percentile):
    values = np.array(scores)
    flagged = PercentileSpec(percentile=percentile).fit(values).flags(values).sum()
    assert flagged <= len(values) * (1 - percentile / 100) + 1


def test_a_percentile_of_more_scores_than_are_kept_is_exact():
    scores = np.random.default_rng(0).exponential(size=50_000)
    for percentile in (*PERCENTILES, 99.99):
        threshold = PercentileSpec(percentile=percentile).fit(scores).value
        assert threshold == pytest.approx(np.percentile(scores, percentile), rel=1e-9)


def test_the_sweep_goes_from_80_to_99_9():
    thresholds = sweep_percentiles(np.append(np.arange(1001.0), np.nan))
    assert (min(thresholds), max(thresholds)) == (80.0, 99.9)
    assert list(thresholds) == sorted(thresholds)
    assert thresholds == pytest.approx({percentile: 10 * percentile for percentile in thresholds})
    with pytest.raises(ValueError, match="threshold percentile needs at least 1 score, but only 0 of 7 rows have one"):
        sweep_percentiles(np.full(7, np.nan))


# --- sigma ---


def test_sigma_by_hand():
    threshold = SigmaSpec(kind="sigma", factor=2.5).fit(np.array([1.0, 3.0, np.nan, 1.0, 3.0]))  # mean 2, deviation 1
    assert (threshold.value, threshold.method) == (4.5, "mean + 2.5 sigma")


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.lists(st.floats(-1e3, 1e3), max_size=30))
def test_an_updated_sigma_is_that_of_all_scores(before, added):
    scores = np.array(before + added)
    threshold = SIGMA.fit(np.array(before)).update(np.array(added))
    assert threshold.value == pytest.approx(scores.mean() + 3 * scores.std(), abs=1e-7)
    assert threshold.count == len(scores)


# --- MAD ---


def test_mad_by_hand():
    threshold = MAD.fit(np.array([1.0, 2.0, np.nan, 3.0, 4.0, 10.0]))  # median 3, differences 2 1 0 1 7
    assert threshold.value == pytest.approx(3 + 3 * 1.4826)
    assert threshold.method == "median + 3 MAD"


def test_mad_is_the_deviation_of_normal_scores_whatever_half_of_the_rows_does():
    scores = np.random.default_rng(0).normal(5, 2, size=100_000)
    assert MAD.fit(scores).value == pytest.approx(5 + 3 * 2, rel=0.01)
    scores[:1000] = 1e9
    assert MAD.fit(scores).value == pytest.approx(5 + 3 * 2, rel=0.03)


def test_a_mad_of_0_gives_way_to_the_mean_difference():
    threshold = MAD.fit(np.array([1.0, 1.0, 1.0, 1.0, 6.0]))  # median 1, mean difference 1
    assert threshold.value == pytest.approx(1 + 3 * 1.2533)
    assert threshold.method == "median + 3 mean deviations (MAD is 0)"
    assert threshold.update(np.arange(20.0)).method == "median + 3 MAD"


def test_the_mean_difference_too_is_the_deviation_of_normal_scores():
    normal = np.random.default_rng(0).normal(size=100_000)
    assert np.abs(normal - np.median(normal)).mean() * 1.2533 == pytest.approx(1, rel=0.01)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.lists(st.floats(-1e3, 1e3), max_size=30))
def test_an_updated_mad_is_that_of_all_scores(before, added):
    assert MAD.fit(np.array(before)).update(np.array(added)) == MAD.fit(np.array(before + added))


def test_mad_flags_as_much_of_exponential_scores_as_is_said():
    validation = stats.expon.isf((np.arange(9999) + 0.5) / 9999)
    for factor, share in ((3, 0.059), (10, 0.0004)):
        threshold = MadSpec(kind="mad", factor=factor).fit(validation).value
        assert stats.expon.sf(threshold) == pytest.approx(share, rel=0.01)


# --- best F1 ---


def test_best_f1_by_hand():
    scores = np.array([0.1, 0.9, 0.4, 0.8, np.nan, 0.35])
    labels = np.array([False, True, False, True, True, True])
    # flagging from 0.35 on: 3 of 4 hit, recall 1, F1 = 6/7; from 0.8 on: 2 of 2, recall 2/3, F1 = 4/5
    threshold = BestF1Spec(kind="best_f1").fit(scores, labels)
    assert threshold.flags(scores).tolist() == [False, True, True, True, False, True]
    assert threshold.method == "best F1 on test labels"


@pytest.mark.parametrize("labels", [None, np.zeros(3, bool), np.array([True, False, False])])
def test_best_f1_needs_a_scored_anomaly(labels):
    with pytest.raises(ValueError, match="best_f1 needs test rows with labeled anomalies; take percentile or sigma"):
        BestF1Spec(kind="best_f1").fit(np.array([np.nan, 1.0, 2.0]), labels)


def test_an_oracle_says_what_to_do_instead_of_an_update():
    threshold = BestF1Spec(kind="best_f1").fit(np.array([1.0, 2.0]), np.array([False, True]))
    with pytest.raises(
        ValueError, match="without labels, but 2 scores came alone; fit best_f1 to labeled rows, or take"
    ):
        threshold.update(np.array([1.0, np.nan, 3.0]))
