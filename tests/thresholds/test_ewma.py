from math import sqrt

import numpy as np
import pandas as pd
import pytest

from tsad.thresholds.ewma import EwmaSpec, EwmaThreshold


def started(mean=0.0, variance=1.0, **values):
    return EwmaThreshold(spec=EwmaSpec(kind="ewma", **values), mean=mean, variance=variance, alarms=0)


def test_thresholds_by_hand():
    threshold = started(factor=2, span=3)  # the newest row weighs 1/2
    thresholds, after = threshold.advance(np.array([1.0, np.nan, 10.0, 0.5]))
    # 0 + 2 * 1; mean 1/2, variance (1 + 1/2) / 2 = 3/4; 10 is flagged and left out; variance (3/4 + 0) / 2
    assert thresholds == pytest.approx([2.0, 0.5 + 2 * sqrt(0.75), 0.5 + 2 * sqrt(0.75), 0.5 + 2 * sqrt(0.75)])
    assert (after.mean, after.variance, after.alarms) == (0.5, 0.375, 0)
    assert threshold.method == "moving mean + 2 sigma, span 3"


def test_a_fit_starts_from_mean_and_deviation_of_all_scores():
    threshold = EwmaSpec(kind="ewma", factor=2).fit(np.array([1.0, 3.0, np.nan, 1.0, 3.0]))
    assert threshold.per_row(np.zeros(1)) == 4.0


def test_mean_and_variance_are_those_of_pandas():
    scores = np.random.default_rng(0).gamma(2.0, size=500)
    threshold = started(mean=scores[0], variance=0.0, span=20, patience=0)
    moving = pd.Series(scores).ewm(span=20, adjust=False)
    expected = moving.mean() + 4 * np.sqrt(moving.var(bias=True).clip(lower=0))
    np.testing.assert_allclose(threshold.per_row(scores[1:])[1:], expected[1:-1], rtol=1e-9)


@pytest.mark.parametrize("patience", [0, 1, 5, None])
def test_thresholds_are_those_of_a_plain_loop(patience):
    generator = np.random.default_rng(1)
    scores = generator.normal(size=600) + 9 * (np.arange(600) % 100 > 85)
    mean, variance, alarms, expected = 0.0, 1.0, 0, []
    for score in scores:
        expected.append(mean + 3 * variance**0.5)
        alarms = alarms + 1 if score > expected[-1] else 0
        if alarms == 0 or (patience is not None and alarms > patience):
            new = 0.9 * mean + 0.1 * score
            variance = 0.9 * (variance + mean**2) + 0.1 * score**2 - new**2  # E x^2 - (E x)^2
            mean = new
    thresholds = started(factor=3, span=19, patience=patience).per_row(scores)
    np.testing.assert_allclose(thresholds, expected, rtol=1e-6)


def shift(height=50.0):
    return np.random.default_rng(0).normal(size=6000) + height * (np.arange(6000) >= 2000)


def test_a_lasting_shift_is_flagged_until_patience_ends():
    flags = started(patience=300, span=1000).flags(shift())
    assert flags[2000:2300].all()
    assert (
        np.flatnonzero(flags).max() < 2300 + 60
    )  # the variance grows with the shift, so the threshold is soon above it


def test_without_an_end_to_patience_a_lasting_shift_is_flagged_for_ever():
    assert started(patience=None, span=1000).flags(shift())[2000:].all()


def test_without_patience_an_anomaly_raises_the_threshold_at_once():
    thresholds = started(patience=0, span=1000).per_row(shift())
    assert (np.diff(thresholds[2000:2010]) > 0).all()


def test_an_anomaly_shorter_than_patience_leaves_no_trace():
    scores = np.random.default_rng(0).normal(size=400).clip(-2, 2)
    with_anomaly = np.insert(scores, 200, np.full(50, 1e6))
    threshold = started(patience=50)
    assert threshold.after(with_anomaly) == threshold.after(scores)
    assert threshold.after(np.append(with_anomaly[:250], 1e6)).mean > 1


def test_an_infinite_score_is_never_taken_in():
    threshold = started(patience=0)
    after = threshold.after(np.array([np.inf, -np.inf]))
    assert (after.mean, after.variance) == (threshold.mean, threshold.variance)


def test_an_update_takes_everything_in_and_forgives_alarms():
    threshold = started(span=3).after(np.array([99.0]))
    assert threshold.alarms == 1
    updated = threshold.update(np.array([50.0, np.nan]))
    assert (updated.mean, updated.alarms) == (25.0, 0)


def test_slow_drift_is_borne_where_a_fixed_threshold_is_not():
    scores = np.random.default_rng(0).normal(size=20_000) + np.linspace(0, 20, 20_000)
    threshold = EwmaSpec(kind="ewma", span=500).fit(scores[:1000])
    assert threshold.flags(scores).mean() < 0.001
    assert (scores > threshold.per_row(scores[:1])[0]).mean() > 0.5


def test_of_exponential_scores_it_flags_as_many_as_is_said():
    generator = np.random.default_rng(0)
    threshold = EwmaSpec(kind="ewma").fit(generator.exponential(size=10_000))
    assert threshold.flags(generator.exponential(size=200_000)).mean() == pytest.approx(0.012, abs=0.001)
