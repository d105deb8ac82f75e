import numpy as np
import pytest
from scipy import stats

from tsad.errors import SpecError
from tsad.spec import parse
from tsad.thresholds.pot import PotSpec, fit_tail

POT = PotSpec(kind="pot")


def peaks_of(shape, count, seed=0):
    return np.sort(stats.genpareto(shape, scale=2.0).rvs(count, random_state=seed))


def by_the_paper(peaks):
    """Returns shape and scale as Zhang and Stephens write them (2009, section 2.2), number by number."""
    n, y = len(peaks), sorted(peaks)
    m = 20 + int(np.sqrt(n))
    quartile = y[int(n / 4 + 0.5) - 1]
    thetas = [1 / y[-1] + (1 - np.sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)]

    def log_likelihood(theta):
        k = -sum(np.log(1 - theta * value) for value in y) / n
        return n * (np.log(theta / k) + k - 1)

    weights = [1 / sum(np.exp(log_likelihood(other) - log_likelihood(theta)) for other in thetas) for theta in thetas]
    theta = sum(weight * value for weight, value in zip(weights, thetas, strict=True))
    k = -sum(np.log(1 - theta * value) for value in y) / n
    return -k, k / theta


# --- the tail ---


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_a_tail_is_that_of_the_paper(shape):
    peaks = peaks_of(shape, 40)
    assert fit_tail(peaks) == pytest.approx(by_the_paper(peaks), rel=1e-9)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3, 0.8])
def test_a_tail_agrees_with_the_largest_likelihood(shape):
    peaks = peaks_of(shape, 5000)
    likeliest, _, scale = stats.genpareto.fit(peaks, floc=0)
    assert fit_tail(peaks) == pytest.approx((likeliest, scale), abs=0.01)
    assert fit_tail(peaks) == pytest.approx((shape, 2.0), abs=0.12)


def test_an_exponential_tail_among_the_points_is_no_division_by_0():
    peaks = np.concatenate([np.full(9, 1.0), np.linspace(1, 3, 27)])
    thetas = 1 / 3 + (1 - np.sqrt(26 / (np.arange(26) + 0.5))) / 3  # of 36 peaks, quartile 1, largest 3
    assert 0 in thetas
    assert np.isfinite(fit_tail(peaks)).all()


# --- the threshold ---


def test_a_threshold_is_the_quantile_of_the_tail():
    scores = np.random.default_rng(0).gamma(2.0, size=5000)
    threshold = PotSpec(kind="pot", risk=1e-3).fit(scores)
    assert threshold.floor == np.quantile(scores, 0.98)
    assert (threshold.count, threshold.peaks.count) == (5000, 100)
    shape, scale = fit_tail(np.array(threshold.peaks.values))
    excess = stats.genpareto.isf(1e-3 / 0.02, shape, scale=scale)
    assert threshold.value == pytest.approx(threshold.floor + excess)
    assert threshold.method == "peaks over quantile 0.98, risk 0.001"


@pytest.mark.parametrize(
    ("law", "error"),
    [(stats.expon(), 0.08), (stats.genpareto(0.2), 0.18), (stats.genpareto(-0.2), 0.03), (stats.norm(), 0.07)],
    ids=["exponential", "pareto", "bounded", "normal"],
)
def test_a_threshold_is_exceeded_as_rarely_as_was_asked(law, error):
    thresholds = [POT.fit(law.rvs(100_000, random_state=seed)).value for seed in range(5)]
    assert thresholds == pytest.approx([law.isf(1e-4)] * 5, rel=error)  # three deviations of a fit; see their mean
    assert np.mean(thresholds) == pytest.approx(law.isf(1e-4), rel=error / 2)


@pytest.mark.parametrize("seed", range(5))
def test_seven_thousand_rows_are_enough_for_one_in_ten_thousand(seed):
    threshold = POT.fit(stats.expon().rvs(7000, random_state=seed)).value
    assert 1e-5 < stats.expon.sf(threshold) < 4e-4


def test_peaks_of_one_height_end_right_above_it():
    scores = np.append(np.zeros(990), np.full(10, 5.0))
    threshold = PotSpec(kind="pot", quantile=0.985).fit(scores)
    assert 5.0 < threshold.value < 5.1


def test_peaks_rarer_than_the_risk_leave_the_threshold_at_the_floor():
    scores = np.append(np.zeros(990), np.arange(1.0, 11.0))
    assert PotSpec(kind="pot", quantile=0.9, risk=0.05).fit(scores).value == 0.0


# --- updates ---


def test_an_alarm_is_left_out_of_an_update():
    threshold = POT.fit(np.random.default_rng(0).exponential(size=5000))
    alarms = threshold.value + np.array([0.001, 5.0, np.nan])
    assert threshold.update(alarms) == threshold


def test_a_peak_joins_the_tail_and_another_score_counts():
    threshold = POT.fit(np.random.default_rng(0).exponential(size=5000))
    updated = threshold.update(np.array([threshold.floor + 1.5, threshold.floor, 0.0]))
    assert (updated.count, updated.peaks.count) == (5003, 101)
    assert sorted([*threshold.peaks.values, 1.5]) == pytest.approx(updated.peaks.values)
    assert updated.floor == threshold.floor
    assert updated.value != threshold.value


def test_updates_double_the_risk_as_is_said():
    thresholds = []
    for seed in range(10):
        scores = stats.expon().rvs(40_000, random_state=seed)
        threshold = POT.fit(scores[:7000])
        for batch in np.split(scores[7000:], 33):
            threshold = threshold.update(batch)
        thresholds.append(threshold.value)
    assert stats.expon.sf(np.mean(thresholds)) == pytest.approx(2e-4, rel=0.25)


# --- mistakes ---


def test_too_few_peaks_among_equal_scores_are_refused():
    scores = np.append(np.zeros(990), np.arange(1.0, 10.0))
    message = (
        r"threshold pot needs at least 10 scores above the quantile 0.98, but 9 of 999 are above 0, since many are equal; "
        r"give more validation rows, a lower threshold.quantile, or take percentile"
    )
    with pytest.raises(ValueError, match=message):
        POT.fit(scores)


def test_five_hundred_scores_are_needed_by_default():
    assert POT.scores_needed == 500
    assert PotSpec(kind="pot", quantile=0.9).scores_needed == 100


def test_a_risk_that_is_not_in_the_tail_is_refused():
    values = {"kind": "pot", "risk": 0.03}
    with pytest.raises(
        SpecError, match=r"risk must be below 1 - quantile, .* risk=0.03 and quantile=0.98; take a smaller"
    ):
        parse(PotSpec, values, "threshold")
