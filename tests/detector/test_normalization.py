"""Scores measured by those of the recent past, and rows that lend their past to others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import detector_of, from_defaults, sensors
from tsad.detector.scoring import RollingMedianNormalization, ScoringSpec, lookback, scores
from tsad.errors import DataError
from tsad.models.baselines.l2 import L2Spec
from tsad.series import Series

SPEC = ScoringSpec(normalization={"kind": "rolling_median", "length": 3, "share": 0.5})


def scored(error, spec=SPEC, boundaries=()):
    rows = np.array(error, dtype=np.float64)[:, None]
    return scores(
        spec, Series(np.zeros((len(rows), 1), np.float32), ("a",), boundaries=boundaries), rows, np.ones(1)
    ).values


def test_a_score_is_divided_by_the_root_of_the_median_before_it():
    np.testing.assert_allclose(
        scored([1, 4, 9, 8, 1, 27]), [np.nan, np.nan, np.nan, 8 / 2, 1 / np.sqrt(8), 27 / np.sqrt(8)]
    )


def test_a_share_of_one_is_the_ratio_and_of_zero_nothing():
    whole, nothing = (SPEC.normalization.model_copy(update={"share": share}) for share in (1.0, 0.0))
    assert scored([1, 4, 9, 8], SPEC.model_copy(update={"normalization": whole}))[3] == 2
    assert scored([1, 4, 9, 8], SPEC.model_copy(update={"normalization": nothing}))[3] == 8


def test_a_median_of_zero_leaves_the_score():
    assert scored([0, 0, 5, 8])[3] == 8


def test_a_normalization_reaches_across_no_break():
    np.testing.assert_array_equal(np.isnan(scored([1] * 8, boundaries=(4,))), [1, 1, 1, 0, 1, 1, 1, 0])


def test_a_lasting_shift_becomes_usual():
    values = scored([1.0] * 10 + [100.0] * 10)
    assert values[10] == 100
    assert values[19] == 10


def test_rows_before_count_the_normalization():
    smooth = {"kind": "mean", "length": 4}
    assert (
        lookback(
            ScoringSpec(smooth=smooth, normalization=RollingMedianNormalization(kind="rolling_median", length=10)), 5
        )
        == 4 + 3 + 10
    )


SERIES = sensors(400, 4)
DETECTOR = detector_of(
    from_defaults(L2Spec),
    SERIES,
    3,
    ScoringSpec(smooth={"kind": "mean", "length": 2}, normalization=SPEC.normalization),
)
WHOLE = DETECTOR.score(SERIES).values


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 300), rows=st.integers(20, 100))
def test_a_chunk_gets_the_scores_of_the_whole(first, rows):
    chunk = DETECTOR.score(SERIES.part(first, first + rows)).values
    before = DETECTOR.scorer.lookback
    np.testing.assert_array_equal(chunk[before:], WHOLE[first + before : first + rows])
    assert np.isnan(chunk[:before]).all()


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(6, 399))
def test_rows_with_a_past_get_the_scores_of_the_whole(cut):
    later = DETECTOR.score(SERIES.part(cut, 400), past=SERIES.part(0, cut))
    np.testing.assert_array_equal(later.values, WHOLE[cut:])
    assert len(later.by_feature) == 400 - cut


def test_a_past_of_other_features_is_refused():
    other = Series(SERIES.values[:, :3], SERIES.features[:3])
    with pytest.raises(DataError, match="features must be"):
        DETECTOR.score(SERIES, past=other)
