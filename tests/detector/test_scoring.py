import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import FirstRow, sensors, unscaled
from tsad.detector.detector import Scorer
from tsad.detector.scoring import (
    BATCH,
    MeanSmoothing,
    ScoringSpec,
    feature_scale,
    lookahead,
    lookback,
    row_errors,
    scores,
)
from tsad.models.baselines.l2 import L2Spec
from tsad.models.contract import Model
from tsad.series import Series

NAN = np.nan
L2 = L2Spec(kind="l2")


def one_feature(*values, boundaries=()):
    return Series(np.array(values, np.float32)[:, None], ("a",), boundaries=boundaries)


def scored(series, model: Model, length, **keys):
    scoring = ScoringSpec(**keys)
    divisors = np.ones(len(series.features))
    return scores(scoring, series, row_errors(model, series, length, scoring), divisors).values


def scorer_of(model: Model, features, length, scoring):
    return Scorer(
        features=tuple(f"s{place}" for place in range(features)),
        scaler=unscaled(features),
        window_length=length,
        model_spec=L2,  # not read in scoring
        model=model.eval(),
        scoring=scoring,
        scale=np.linspace(0.5, 2, features),
    )


# --- by hand: rows 0, 1, 3, 6; windows of 2; the prediction is the window's first row, so errors are 0 and the step ---


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("last", [NAN, 1, 4, 9]),
        ("window", [NAN, 1 / 2, 4 / 2, 9 / 2]),
        ("mean", [NAN, (1 + 0) / 2, (4 + 0) / 2, NAN]),
    ],
)
def test_which_errors_a_row_gets(over, expected):
    np.testing.assert_array_equal(scored(one_feature(0, 1, 3, 6), FirstRow(2), 2, over=over), expected)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("last", [NAN, NAN, 3, 5]),
        ("window", [NAN, NAN, (1 + 3) / 2, (2 + 5) / 2]),
        ("mean", [NAN, NAN, (3 + 2) / 2, NAN]),
    ],
)
def test_a_forecast_of_two_steps_from_windows_of_three_rows(over, expected):
    series = one_feature(0, 1, 3, 6)
    np.testing.assert_array_equal(scored(series, FirstRow(2), 3, over=over, error="absolute"), expected)


def test_features_are_averaged_or_the_strangest_counts():
    series = Series(np.array([[0, 0], [1, 3]], np.float32), ("a", "b"))
    assert scored(series, FirstRow(2), 2, features="mean")[1] == (1 + 9) / 2
    assert scored(series, FirstRow(2), 2, features="max")[1] == 9


def test_errors_are_compressed_feature_by_feature():
    series = Series(np.array([[0, 0], [1, 3]], np.float32), ("a", "b"))
    assert scored(series, FirstRow(2), 2, compress="log1p")[1] == pytest.approx((np.log(2) + np.log(10)) / 2)
    assert scored(series, FirstRow(2), 2, compress="root")[1] == (1 + 3) / 2
    assert scored(series, FirstRow(2), 2, compress="root", error="absolute")[1] == pytest.approx((1 + np.sqrt(3)) / 2)


def test_errors_are_divided_before_they_are_compressed():
    series = Series(np.array([[0, 0], [2, 6]], np.float32), ("a", "b"))
    scoring = ScoringSpec(compress="root")
    found = scores(scoring, series, row_errors(FirstRow(2), series, 2, scoring), np.array([1.0, 9.0]))
    np.testing.assert_array_equal(found.by_feature[1], [2, 2])


def test_smoothing_is_the_mean_of_the_scores_up_to_the_row():
    series = one_feature(0, 1, 3, 6)
    found = scored(series, FirstRow(2), 2, smooth=MeanSmoothing(kind="mean", length=2))
    np.testing.assert_array_equal(found, [NAN, NAN, (1 + 4) / 2, (4 + 9) / 2])


def test_what_each_feature_gave_is_kept_unsmoothed():
    series = Series(np.array([[0, 0], [1, 3], [1, 3]], np.float32), ("a", "b"))
    scoring = ScoringSpec(smooth=MeanSmoothing(kind="mean", length=2))
    found = scores(scoring, series, row_errors(FirstRow(2), series, 2, scoring), np.array([1.0, 3.0]))
    np.testing.assert_array_equal(found.by_feature, [[NAN, NAN], [1, 3], [0, 0]])
    np.testing.assert_array_equal(found.values, [NAN, NAN, (2 + 0) / 2])


def test_each_segment_is_scored_as_if_alone():
    series = one_feature(0, 1, 3, 100, 101, 9, 7, 7, boundaries=(3, 5))
    found = scored(series, FirstRow(2), 2, smooth=MeanSmoothing(kind="mean", length=2))
    np.testing.assert_array_equal(found, [NAN, NAN, 2.5, NAN, NAN, NAN, NAN, 2])


def test_a_segment_too_short_for_a_window_has_no_score():
    found = scored(one_feature(0, 1, 50, 4, 6, boundaries=(2, 3)), FirstRow(2), 2)
    np.testing.assert_array_equal(found, [NAN, 1, NAN, NAN, 4])


def test_divisors_are_mean_validation_errors_but_never_next_to_nothing():
    error = np.array([[NAN, NAN, NAN], [1.0, 2.0, 0.0], [3.0, 2.0, 0.0]])
    np.testing.assert_allclose(feature_scale(ScoringSpec(scale="validation"), error), [2, 2, 0.01 * 4 / 3])
    np.testing.assert_array_equal(feature_scale(ScoringSpec(), error), [1, 1, 1])
    assert (feature_scale(ScoringSpec(scale="validation"), np.zeros((3, 2))) > 0).all()


# --- properties ---

FEATURES = 3


@st.composite
def scorers(draw):
    """Draws a scorer of any error, reach and smoothing."""
    length = draw(st.integers(1, 9))
    scoring = ScoringSpec(
        error=draw(st.sampled_from(["squared", "absolute"])),
        over=draw(st.sampled_from(["last", "window", "mean"])),
        compress=draw(st.sampled_from(["none", "log1p", "root"])),
        features=draw(st.sampled_from(["mean", "max"])),
        smooth=MeanSmoothing(kind="mean", length=draw(st.integers(1, 20))),
    )
    return scorer_of(FirstRow(draw(st.integers(1, length))), FEATURES, length, scoring)


def reach(scorer):
    """Returns the rows that one score needs."""
    return scorer.lookback + 1 + scorer.lookahead


@given(scorers(), st.integers(0, 30))
def test_exactly_the_stated_rows_have_a_score(scorer, more):
    found = scorer.score(sensors(reach(scorer) + more, FEATURES)).values
    first, last = scorer.lookback, len(found) - 1 - scorer.lookahead
    assert np.flatnonzero(~np.isnan(found)).tolist() == list(range(first, last + 1))


@given(scorers(), st.data())
def test_a_score_does_not_depend_on_how_many_rows_were_passed(scorer, data):
    rows = 2 * BATCH + 40
    whole = sensors(rows, FEATURES)
    start = data.draw(st.integers(0, rows - reach(scorer)), "start")
    stop = data.draw(st.integers(start + reach(scorer), rows), "stop")
    expected, chunk = scorer.score(whole), scorer.score(whole.part(start, stop))
    known = slice(scorer.lookback, stop - start - scorer.lookahead)
    assert not np.isnan(chunk.values[known]).any()
    np.testing.assert_array_equal(chunk.values[known], expected.values[start:stop][known])
    np.testing.assert_array_equal(chunk.by_feature[known], expected.by_feature[start:stop][known])


@given(scorers(), st.data())
def test_no_score_depends_on_a_row_beyond_its_reach(scorer, data):
    series = sensors(BATCH + 60, FEATURES)
    changed = series.values.copy()
    row = data.draw(st.integers(0, len(series) - 1), "row")
    changed[row] += 5
    before, after = scorer.score(series).values, scorer.score(Series(changed, series.features)).values
    untouched = np.ones(len(series), bool)
    untouched[max(0, row - scorer.lookahead) : row + scorer.lookback + 1] = False
    np.testing.assert_array_equal(after[untouched], before[untouched])


@given(scorers(), st.sets(st.integers(1, 89), max_size=3))
def test_a_series_with_breaks_is_scored_as_its_segments(scorer, boundaries):
    series = sensors(90, FEATURES, boundaries=tuple(sorted(boundaries)))
    if max(after - first for first, after in series.segments()) < reach(scorer):
        return
    found = scorer.score(series).values
    for first, after in series.segments():
        expected = np.full(after - first, np.nan)
        if after - first >= reach(scorer):
            expected = scorer.score(series.part(first, after)).values
        np.testing.assert_array_equal(found[first:after], expected)


@settings(max_examples=10)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_only_the_mean_over_windows_waits_for_later_rows(length, smoothing, steps):
    smooth = MeanSmoothing(kind="mean", length=smoothing)
    assert lookahead(ScoringSpec(over="last", smooth=smooth), steps) == 0
    assert lookahead(ScoringSpec(over="window", smooth=smooth), steps) == 0
    assert lookahead(ScoringSpec(over="mean", smooth=smooth), steps) == steps - 1
    assert lookback(ScoringSpec(smooth=smooth), length) == length + smoothing - 2
