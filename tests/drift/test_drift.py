"""Distances, what is expected, profiles and thresholds fitted anew."""

import re
from dataclasses import replace
from math import log

import numpy as np
import pytest
from scipy.stats import ks_2samp

from tests.examples import detector_of, sensors
from tsad.detector.scoring import ScoringSpec
from tsad.drift import PROFILE, Comparison, Profile, drift, most_drifted, recalibrated, threshold_spec
from tsad.drift.reference import Histogram, Reference
from tsad.errors import DataError, DetectorError, SpecError
from tsad.models.baselines.l2 import L2Spec
from tsad.provenance import Provenance
from tsad.series import Series
from tsad.thresholds.best_f1 import BestF1Threshold
from tsad.thresholds.mad import MadSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.thresholds.threshold import GivenThreshold

DAY = 200
"""Rows of a day of the daily rows below."""


def one(values):
    """Returns the reference that one column of rows makes."""
    return Reference.of(["x"], np.asarray(values, dtype=np.float32)[:, None], [(0, len(values))])


def tallied(reference, values):
    histogram = Histogram(reference)
    histogram.take(np.asarray(values, dtype=np.float32).reshape(-1, len(reference.columns)))
    return histogram


def daily(days, seed=0, threshold=0.0):
    """Returns (rows, 3): a strong daily wave, slow noise whose neighbors are alike, and a constant."""
    generator = np.random.default_rng(seed)
    time = np.arange(days * DAY)
    noise, steps = np.empty(len(time)), generator.normal(size=len(time))
    state = 0.0
    for row, step in enumerate(steps):
        noise[row] = state = 0.9 * state + step
    wave = np.sin(2 * np.pi * time / DAY) + 0.1 * generator.normal(size=len(time))
    return np.stack([wave + threshold, noise, np.full(len(time), 7.0)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def days():
    """A profile of forty days; the first thirty fitted, the last ten gave scores."""
    rows = Series(daily(40), ("wave", "noise", "constant"))
    fit, validation = rows.part(0, 30 * DAY), rows.part(30 * DAY, 40 * DAY)
    detector = detector_of(L2Spec(kind="l2"), fit, 1, ScoringSpec())
    return detector, Profile.of(detector, fit, detector.score(validation))


def states(found):
    return {column.name: column.state for column in found.features}


# --- distances ---


@pytest.mark.parametrize("values", [3, 20, 90])
def test_of_few_values_the_distance_is_that_of_scipy(values):
    generator = np.random.default_rng(values)
    first, second = generator.integers(0, values, 500), generator.integers(1, values + 3, 133)
    expected = ks_2samp(first, second).statistic
    assert expected > 0.05
    assert tallied(one(first), second).distance(0) == pytest.approx(expected, abs=1e-12)


def test_few_values_are_all_known_however_rare():
    first, second = np.repeat([0, 1, 2], [500, 1, 499]), np.ones(10)
    assert one(first).columns[0].values == (0, 1, 2)
    assert tallied(one(first), second).distance(0) == pytest.approx(0.5, abs=1e-12)
    assert ks_2samp(first, second).statistic == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, -2.0, 9.0])
def test_of_many_values_it_is_at_most_a_hundredth_smaller(shift):
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=2000), generator.normal(shift, 1.0, 300)
    expected = ks_2samp(first.astype(np.float32), second.astype(np.float32)).statistic
    assert expected - 0.011 <= tallied(one(first), second).distance(0) <= expected + 1e-12


def test_rows_that_come_chunk_by_chunk_are_the_same_rows():
    reference, rows = one(np.arange(500) % 37), (np.arange(400) // 3 % 41).astype(np.float32)[:, None]
    whole, chunks = tallied(reference, rows), Histogram(reference)
    for start in range(0, 400, 7):
        chunks.take(rows[start : start + 7])
    chunks.take(rows[:0])
    for question in ("distance", "stability_index", "mean", "stuck_ratio"):
        assert getattr(chunks, question)(0) == pytest.approx(getattr(whole, question)(0), rel=1e-12), question
    assert whole.stuck_ratio(0) == pytest.approx((np.diff(rows[:, 0]) == 0).mean())
    assert (whole.lowest, whole.highest) == (0, 40)


def test_the_stability_index_is_that_of_ten_bins():
    reference = one(np.repeat(np.arange(10), 10))
    rows = np.repeat(np.arange(10), [4, 4, 4, 4, 4, 4, 4, 4, 4, 64])
    expected = 9 * (0.04 - 0.1) * log(0.04 / 0.1) + (0.64 - 0.1) * log(0.64 / 0.1)
    assert tallied(reference, rows).stability_index(0) == pytest.approx(expected)
    assert tallied(reference, np.arange(10)).stability_index(0) == pytest.approx(0)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_values_that_take_several_deciles_have_a_bin_of_their_own(share):
    reference = one(np.repeat([0, 1], [round(100 * share), 100 - round(100 * share)]))
    expected = (0.2 - share) * log(0.2 / share) + (share - 0.2) * log(0.8 / (1 - share))
    assert tallied(reference, np.repeat([0, 1], [20, 80])).stability_index(0) == pytest.approx(expected)


def test_an_empty_bin_counts_as_a_ten_thousandth():
    expected = 0.5 * log(2) + (0.5 - 1e-4) * log(0.5 / 1e-4)
    assert tallied(one([0, 0, 1, 1]), [1, 1]).stability_index(0) == pytest.approx(expected, rel=1e-3)


# --- what is expected ---


def test_what_is_usual_is_how_far_own_blocks_are_from_the_rest():
    values = daily(11)[:, 0]
    reference = one(values)
    assert reference.lengths == (64, 128, 256)
    for length, expected in zip(reference.lengths, reference.columns[0].expected, strict=True):
        starts = range(0, len(values) - length + 1, length // 4)
        rest = [np.delete(values, slice(start, start + length)) for start in starts]
        farthest = max(
            ks_2samp(values[start : start + length], others).statistic
            for start, others in zip(starts, rest, strict=True)
        )
        assert farthest - 0.02 <= expected <= min(farthest + 0.1, 0.99), length


def test_the_more_columns_are_looked_at_the_further_each_may_be():
    values = np.random.default_rng(3).normal(size=(2000, 20)).astype(np.float32)
    names = [f"s{place}" for place in range(20)]
    together = Reference.of(names, values, [(0, 2000)])
    alone = [Reference.of([name], values[:, [place]], [(0, 2000)]) for place, name in enumerate(names)]
    wider = [
        np.subtract(column.expected, one.columns[0].expected)
        for column, one in zip(together.columns, alone, strict=True)
    ]
    assert np.min(wider) >= 0
    assert np.mean(wider) > 0.01


def test_blocks_lie_within_a_stretch():
    values = np.concatenate([np.zeros(700), np.ones(700)]).astype(np.float32)[:, None]
    apart = Reference.of(["x"], values, [(0, 700), (700, 1400)])
    short = Reference.of(["x"], values, [(start, start + 70) for start in range(0, 1400, 70)])
    assert apart.lengths == (64, 128)
    assert short.lengths == (64,)
    assert Reference.of(["x"], values, [(start, start + 35) for start in range(0, 1400, 35)]).lengths == ()


def test_as_many_rows_are_judged_by_the_longest_blocks_that_are_not_longer(days):
    reference = days[1].inputs
    assert reference.expected(0, 63) is None
    assert reference.expected(0, 64) == reference.expected(0, 127) == reference.columns[0].expected[0]
    assert reference.expected(0, 10**6) == reference.columns[0].expected[-1]


def test_an_ordinary_hour_of_a_day_has_not_moved(days):
    _, profile = days
    later = daily(10, seed=5)
    night = later[118:182]
    assert ks_2samp(night[:, 0], daily(30)[:, 0]).pvalue < 1e-12  # which therefore says nothing
    assert drift(profile, night).state == "expected"
    found = [drift(profile, later[start : start + 64]) for start in range(0, len(later) - 64, 16)]
    assert np.mean([each.state == "drifted" for each in found]) <= 0.02


def test_a_shift_of_two_deviations_is_found_within_a_day_and_only_there(days):
    _, profile = days
    later = daily(10, seed=5)
    for day in range(10):
        rows = later[day * DAY : (day + 1) * DAY].copy()
        assert drift(profile, rows).state == "expected"
        rows[:, 0] += 2 * profile.inputs.columns[0].deviation
        assert states(drift(profile, rows)) == {"wave": "drifted", "noise": "expected", "constant": "expected"}


def test_rows_beyond_all_of_the_reference_have_moved_though_a_trend_was_usual():
    trend = one(np.arange(2000))
    assert trend.columns[0].expected == (0.99,) * 2
    assert tallied(trend, np.arange(2000, 2100)).distance(0) == 1
    assert tallied(trend, np.arange(1900, 2000)).distance(0) < 0.99


def test_a_new_value_of_a_constant_has_moved_at_once(days):
    _, profile = days
    rows = daily(1)[:5].copy()
    assert states(drift(profile, rows))["constant"] == "expected"
    rows[3, 2] = np.nextafter(np.float32(7), np.float32(8))
    found = drift(profile, rows)
    assert states(found) == {"wave": "unknown", "noise": "unknown", "constant": "drifted"}
    assert found.state == "drifted"
    assert found.features[2].distance == pytest.approx(0.2)


def test_a_stuck_sensor_has_moved(days):
    _, profile = days
    rows = daily(1, seed=5)
    rows[:, 1] = rows[0, 1]
    found = drift(profile, rows)
    assert states(found)["noise"] == "drifted"
    assert found.features[1].stuck_ratio == 1
    assert found.features[1].reference_stuck_ratio < 0.01


# --- scores and the score ---


def test_scores_are_compared_with_those_of_validation_rows(days):
    detector, profile = days
    rows = Series(daily(2, seed=5), profile.features)
    scores = detector.score(rows)
    expected = drift(profile, rows.values, scores.values, detector.flag(scores))
    assert expected.scores.state == "expected"
    assert expected.alert_rate == pytest.approx(detector.flag(scores).mean())
    assert expected.expected_alert_rate == profile.alert_rate == pytest.approx(0.1, abs=0.05)
    drifted = drift(profile, rows.values, scores.values + 10)
    assert drifted.scores.state == drifted.state == "drifted"
    assert drifted.alert_rate is None
    assert drifted.scores.mean == pytest.approx(expected.scores.mean + 10, rel=1e-6)


def test_rows_without_a_score_count_for_nothing(days):
    detector, profile = days
    rows = Series(daily(1, seed=5), profile.features)
    scores = detector.score(rows)
    gaps = np.where(np.arange(DAY) % 2 == 0, np.nan, scores.values)
    comparison = Comparison(profile)
    comparison.take_rows(rows.values)
    comparison.take_scores(gaps, np.zeros(DAY, bool))
    assert comparison.drift().scores.mean == pytest.approx(np.nanmean(gaps))
    comparison = Comparison(profile)
    comparison.take_rows(rows.values)
    comparison.take_scores(np.full(DAY, np.nan), np.zeros(DAY, bool))
    assert comparison.drift().scores is None
    assert comparison.drift().alert_rate is None


@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (
            DAY,
            0.0,
            r"no feature of 200 rows is further from the training rows than blocks of them usually were; no row",
        ),
        (DAY, 9.0, r"1 of 3 features drifted: wave \(1\.00, usually up to 0\.\d\d\); no row has a score\."),
        (9, 0.0, r"9 rows are too few to tell, at least 64 are needed; no row"),
    ],
)
def test_the_scores_is_a_sentence(days, rows, change, message):
    values = daily(1, seed=5)[:rows].copy()
    values[:, 0] += change
    found = drift(days[1], values)
    assert found.state == {0.0: "expected" if rows == DAY else "unknown", 9.0: "drifted"}[change]
    assert re.match(message, found.message), found.message


def test_a_detector_of_few_rows_knows_nothing_usual():
    fit = Series(daily(1), ("wave", "noise", "constant"))
    detector = detector_of(L2Spec(kind="l2"), fit, 1, ScoringSpec())
    profile = Profile.of(detector, fit, detector.score(fit))
    assert profile.inputs.lengths == ()
    found = drift(profile, daily(2))
    assert found.state == "unknown"
    assert found.message.startswith("the detector learned from 200 rows, too few to say what is expected")


def test_the_most_moved_come_first(days):
    rows = daily(1, seed=5)
    rows[:, 1] += 3 * days[1].inputs.columns[1].deviation
    rows[7, 2] = 0
    assert [column.name for column in most_drifted(drift(days[1], rows).features)] == ["constant", "noise", "wave"]


def test_rows_of_other_features_are_refused(days):
    with pytest.raises(DataError, match=r"rows must be \(n, 3\), but got \(200, 2\)"):
        drift(days[1], daily(1)[:, :2])
    with pytest.raises(DataError, match="a comparison needs rows, but got none"):
        drift(days[1], daily(1)[:0])


# --- the file ---


def test_a_saved_profile_is_the_same(days, tmp_path):
    days[1].save(tmp_path)
    assert Profile.load(tmp_path) == days[1]
    assert (tmp_path / PROFILE).stat().st_size < 10_000 * 4


def test_a_folder_without_one_has_none(tmp_path):
    assert Profile.load(tmp_path) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"tsad-profile-1"', '"tsad-profile-2"', "format: Input should be 'tsad-profile-1'"),
        ('"alert_rate":', '"alarm":', "alert_rate: Field required"),
        (
            '"lengths":[64,',
            '"lengths":[64,96,',
            "each column must count all rows and have a expected distance for each",
        ),
        ('"upto":[', '"upto":[999999,', "values must ascend, with as many counts below and upto that never fall"),
        ("{", "", "it: Invalid JSON"),
    ],
)
def test_a_damaged_profile_is_refused(days, tmp_path, old, new, message):
    days[1].save(tmp_path)
    text = (tmp_path / PROFILE).read_text()
    assert old in text
    (tmp_path / PROFILE).write_text(text.replace(old, new, 1))
    with pytest.raises(DetectorError, match=rf"profile\.json: must be the profile of a detector, but .*{message}"):
        Profile.load(tmp_path)


def test_a_profile_needs_a_score(days):
    detector, _ = days
    fit = Series(daily(1), ("wave", "noise", "constant"))
    scores = detector.score(fit)
    with pytest.raises(DataError, match="a profile needs scores, but none of 200 rows has one"):
        Profile.of(detector, fit, replace(scores, values=np.full(200, np.nan)))


# --- thresholds fitted anew ---


@pytest.fixture
def detector():
    return detector_of(L2Spec(kind="l2"), sensors(300), 1, ScoringSpec())


NEW = np.append(np.arange(1001.0), np.nan)


def test_a_threshold_is_fitted_anew_by_its_own_rule(detector):
    found = recalibrated(detector, NEW)
    assert found.threshold == PercentileSpec(percentile=90).fit(NEW)
    assert found.threshold.value == 900
    assert found.scorer is detector.scorer


def test_or_by_another(detector):
    assert recalibrated(detector, NEW, MadSpec(kind="mad")).threshold == MadSpec(kind="mad").fit(NEW)


def test_or_takes_the_scores_in_beside_the_old_ones(detector):
    found = recalibrated(detector, NEW, keep=True).threshold
    assert found == detector.threshold.update(NEW)
    assert found.sample.count == 300 + 1001


def test_no_label_has_a_hand_in_a_new_threshold(detector):
    oracle = replace(detector, threshold=BestF1Threshold(value=3.0), training_labels="development")
    assert oracle.provenance == Provenance("development", "test")
    assert recalibrated(oracle, NEW, PercentileSpec()).provenance == Provenance("development", "nothing")


@pytest.mark.parametrize("threshold", [BestF1Threshold(value=3.0), GivenThreshold(value=3.0)])
def test_a_threshold_without_a_rule_needs_one(detector, threshold):
    with pytest.raises(DetectorError, match=r"but this one \(.*\) has none .* name another, --method percentile"):
        recalibrated(replace(detector, threshold=threshold), NEW)
    with pytest.raises(DataError, match=r"does not follow scores|cannot be updated without labels"):
        recalibrated(replace(detector, threshold=threshold), NEW, keep=True)


def test_a_rule_that_reads_labels_is_refused(detector):
    spec = threshold_spec(detector.threshold, {"threshold.kind": "best_f1"})
    with pytest.raises(DetectorError, match="rows for recalibration have no labels, but threshold best_f1 reads them"):
        recalibrated(detector, NEW, spec)


def test_scores_that_no_threshold_can_be_fitted_to_are_refused(detector):
    with pytest.raises(DataError, match="needs at least 1 score, but only 0 of 5 rows have one"):
        recalibrated(detector, np.full(5, np.nan))
    with pytest.raises(DataError, match="fitted to finite scores, but 1 are infinite"):
        recalibrated(detector, np.array([1.0, np.inf]))


def test_a_rule_is_changed_by_paths(detector):
    assert threshold_spec(detector.threshold) == PercentileSpec(percentile=90)
    assert threshold_spec(detector.threshold, {"threshold.percentile": 99.5}) == PercentileSpec(percentile=99.5)
    assert threshold_spec(detector.threshold, {"threshold.kind": "mad"}) == MadSpec(kind="mad")
    with pytest.raises(
        SpecError, match=r"recalibration: threshold\.percentile.*less than or equal to 100, but got 101"
    ):
        threshold_spec(detector.threshold, {"threshold.percentile": 101})
    with pytest.raises(SpecError, match=r"must name its kind|'median'"):
        threshold_spec(detector.threshold, {"threshold.kind": "median"})
