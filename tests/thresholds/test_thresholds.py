import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import from_defaults, members
from tsad.thresholds import ThresholdSpec
from tsad.thresholds.best_f1 import BestF1Spec
from tsad.thresholds.deviation import SigmaSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.thresholds.threshold import Threshold

SPECS = [from_defaults(member) for member in members(ThresholdSpec)]

every_threshold = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)


def scored_rows():
    generator = np.random.default_rng(0)
    labels = np.arange(1000) % 20 == 0
    return generator.gamma(2.0, size=1000) + 3 * labels, labels


def fit(spec, scores, labels):
    return spec.fit(scores, labels) if spec.reads_labels else spec.fit(scores)


@every_threshold
def test_a_level_is_a_finite_number_with_a_method(spec):
    threshold = fit(spec, *scored_rows())
    assert np.isfinite(threshold.level)
    assert threshold.method


@every_threshold
def test_rows_without_a_score_take_no_part(spec):
    scores, labels = scored_rows()
    holes = np.insert(scores, [0, 500, 1000], np.nan)
    assert fit(spec, holes, np.insert(labels, [0, 500, 1000], True)) == fit(spec, scores, labels)


@every_threshold
def test_no_score_at_all_is_refused(spec):
    with pytest.raises(ValueError, match="threshold"):
        fit(spec, np.full(10, np.nan), np.ones(10, bool))


@every_threshold
def test_whose_labels_chose_the_level_is_marked(spec):
    assert (fit(spec, *scored_rows()).labels_used == "nothing") != spec.reads_labels


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.reads_labels], ids=lambda spec: spec.kind)
def test_labels_change_no_level_that_does_not_read_them(spec):
    scores, labels = scored_rows()
    assert spec.fit(scores, labels) == spec.fit(scores, ~labels) == spec.fit(scores)


def test_a_row_is_flagged_above_the_level_and_not_at_it():
    flags = Threshold(2.0, "given").flags(np.array([1.0, 2.0, 2.0000001, np.nan, np.inf]))
    assert flags.tolist() == [False, False, True, False, True]


def test_a_percentile_by_hand():
    scores = np.array([4.0, 1.0, np.nan, 3.0, 2.0, 5.0])
    assert PercentileSpec(percentile=50).fit(scores) == Threshold(3.0, "percentile 50")
    assert PercentileSpec(percentile=90).fit(scores).level == pytest.approx(4.6)
    assert PercentileSpec(percentile=100).fit(scores).level == 5.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 100))
def test_a_percentile_flags_no_more_than_the_rest(scores, percentile):
    values = np.array(scores)
    flagged = PercentileSpec(percentile=percentile).fit(values).flags(values).sum()
    assert flagged <= len(values) * (1 - percentile / 100) + 1


def test_sigma_by_hand():
    scores = np.array([1.0, 3.0, np.nan, 1.0, 3.0])  # mean 2, deviation 1
    assert SigmaSpec(kind="sigma", factor=2.5).fit(scores) == Threshold(4.5, "mean + 2.5 sigma")


def test_all_nan_is_refused_with_the_count():
    with pytest.raises(ValueError, match="needs at least one score, but all of 7 are NaN; give more rows"):
        PercentileSpec().fit(np.full(7, np.nan))


def test_best_f1_by_hand():
    scores = np.array([0.1, 0.9, 0.4, 0.8, np.nan, 0.35])
    labels = np.array([False, True, False, True, True, True])
    # flagging from 0.35 on: 3 of 4 hit, recall 1, F1 = 6/7; from 0.8 on: 2 of 2, recall 2/3, F1 = 4/5
    threshold = BestF1Spec(kind="best_f1").fit(scores, labels)
    assert threshold.flags(scores).tolist() == [False, True, True, True, False, True]
    assert threshold.labels_used == "test"


@pytest.mark.parametrize("labels", [None, np.zeros(3, bool), np.array([True, False, False])])
def test_best_f1_needs_a_scored_anomaly(labels):
    with pytest.raises(ValueError, match="best_f1 needs test rows with labelled anomalies; take percentile or sigma"):
        BestF1Spec(kind="best_f1").fit(np.array([np.nan, 1.0, 2.0]), labels)
