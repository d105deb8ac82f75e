import numpy as np
import pytest

from tests.examples import from_defaults, members, sensors
from tsad.data.scale import NoScalerSpec, ScalerSpec, StandardScalerSpec
from tsad.series import Series


def series_of(*columns):
    values = np.stack(columns, axis=1).astype(np.float32)
    return Series(values, tuple(f"s{place}" for place in range(len(columns))))


def test_fitted_rows_get_mean_zero_and_deviation_one():
    series = series_of(np.arange(50), 1000 + 0.5 * np.arange(50) % 7)
    scaled = StandardScalerSpec().fit(series).apply(series).values
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


def test_statistics_are_those_of_the_fitted_rows_alone():
    train, later = series_of([1, 3]), series_of([100, 5, 2])
    assert StandardScalerSpec().fit(train).apply(later).values[:, 0].tolist() == [50, 3, 0]


@pytest.mark.parametrize("level", [0.0, 0.1, -7.0, 1e6, 1e-20, 1 / 3])
def test_a_constant_feature_is_only_shifted(level):
    scaler = StandardScalerSpec(clip=None).fit(series_of(np.full(997, level)))
    later = series_of([level, level + 2.5])
    assert scaler.scale.tolist() == [1.0]
    np.testing.assert_allclose(scaler.apply(later).values[:, 0], later.values[:, 0] - np.float32(level), atol=1e-6)


def test_a_feature_that_hardly_moves_is_scaled_all_the_same():
    series = series_of(0.5 + 1e-5 * (np.arange(100) % 2))
    scaled = StandardScalerSpec().fit(series).apply(series).values
    assert scaled.std() == pytest.approx(1, abs=0.01)


def test_scaled_values_are_clipped_on_both_sides():
    scaler = StandardScalerSpec(clip=4).fit(series_of([-1, 1]))
    assert scaler.apply(series_of([-100, -3, 0, 3, 100])).values[:, 0].tolist() == [-4, -3, 0, 3, 4]


def test_no_scaler_changes_nothing(small_series):
    np.testing.assert_array_equal(
        NoScalerSpec(kind="none").fit(small_series).apply(small_series).values, small_series.values
    )


@pytest.mark.parametrize("member", members(ScalerSpec))
def test_a_scaled_series_keeps_everything_but_its_values(member):
    rows = sensors(30, boundaries=(7,))
    series = Series(
        rows.values, rows.features, np.arange(30) > 20, rows.boundaries, np.arange(30).astype("datetime64[m]")
    )
    before = series.values.copy()
    scaled = from_defaults(member).fit(series).apply(series)
    assert (scaled.features, scaled.boundaries) == (series.features, series.boundaries)
    assert scaled.labels is series.labels
    assert scaled.times is series.times
    assert scaled.values.dtype == np.float32
    np.testing.assert_array_equal(series.values, before)
