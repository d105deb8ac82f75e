import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import sensors
from tsad.data.injection import (
    AMPLITUDES,
    ANOMALY_TYPES,
    CHANGES,
    LONGEST,
    ContextWindow,
    Event,
    Injected,
    contextual,
    decoupling,
    deviations,
    flat_line,
    inject,
    noise_burst,
    seasonal,
    shift,
    trend,
)
from tsad.errors import DataError
from tsad.series import Series, runs

every_kind = pytest.mark.parametrize("kind", ANOMALY_TYPES)

BREAKS = (250, 430)
NOTHING = np.random.default_rng(0)


def rows(count=900, boundaries=BREAKS):
    """Returns six sensors and a seventh that never moves."""
    series = sensors(count, boundaries=boundaries)
    still = np.full((count, 1), 3, np.float32)
    return Series(np.hstack([series.values, still]), (*series.features, "still"), boundaries=boundaries)


def injected(anomaly_types=ANOMALY_TYPES, anomaly_ratio=0.1, seed=0, margin=20, series=None):
    return inject(series or rows(), anomaly_types, anomaly_ratio, np.random.default_rng(seed), margin=margin)


def column(*values):
    return np.array(values, float)[:, None]


def context(segment, start, length, amplitude):
    return ContextWindow(column(*segment), start, length, np.array([float(amplitude)]))


# --- every kind ---


def test_every_kind_has_a_change():
    assert set(CHANGES) == set(ANOMALY_TYPES)


@every_kind
def test_rows_are_labeled_where_values_changed_and_only_named_features_change(kind):
    before, after = rows(), injected([kind])
    changed = after.series.values != before.values
    expected = np.zeros_like(changed)
    for event in after.events:
        places = [before.features.index(name) for name in event.features]
        assert changed[event.start : event.stop, places].any(axis=0).all()
        expected[event.start : event.stop, places] = True
    assert after.events
    assert not (changed & ~expected).any()
    assert runs(after.series.labels) == [(event.start, event.stop) for event in after.events]
    untouched = int((after.series.labels & ~changed.any(axis=1)).sum())
    assert untouched == (len(after.events) if kind == "flat_line" else 0)  # a flat line begins with the row as it was


@every_kind
def test_what_comes_out_has_the_shape_of_the_rows_and_leaves_them_as_they_were(kind):
    before, kept = rows(), rows()
    after = injected([kind], series=before).series
    np.testing.assert_array_equal(before.values, kept.values)
    assert before.labels is None
    assert after.values.shape == before.values.shape
    assert (after.features, after.boundaries) == (before.features, before.boundaries)


@every_kind
def test_the_same_generator_gives_the_same_events_and_another_does_not(kind):
    first, second, third = injected([kind], seed=1), injected([kind], seed=1), injected([kind], seed=2)
    np.testing.assert_array_equal(first.series.values, second.series.values)
    assert first.events == second.events != third.events


@every_kind
def test_a_feature_that_never_moves_is_left_alone(kind):
    assert all("still" not in event.features for event in injected([kind]).events)


@pytest.mark.parametrize("kind", ["point", "level_shift", "trend"])
def test_the_largest_change_lies_in_the_stated_range_of_deviations(kind):
    before, after = rows(), injected([kind], anomaly_ratio=0.3)
    sizes = np.abs(after.series.values - before.values)[:, :-1] / deviations(before.values)[:-1]
    largest = [sizes[event.start : event.stop].max() for event in after.events]
    assert len(largest) > 5
    assert AMPLITUDES[0] - 1e-4 <= min(largest) < 2
    assert AMPLITUDES[1] / 2 < max(largest) <= AMPLITUDES[1] + 1e-4


@pytest.mark.parametrize("kind", ["contextual", "decoupling", "flat_line"])
def test_some_kinds_bring_no_value_that_is_new(kind):
    before, after = rows(boundaries=()), injected([kind], series=rows(boundaries=()))
    assert (after.series.values.min(axis=0) >= before.values.min(axis=0)).all()
    assert (after.series.values.max(axis=0) <= before.values.max(axis=0)).all()


# --- by hand ---


def test_a_shift_adds_its_amplitude():
    np.testing.assert_array_equal(shift(context([1, 2, 3, 4], 1, 2, -5), NOTHING), column(-3, -2))


def test_a_contextual_change_moves_towards_the_farther_end_and_not_past_it():
    segment = [0, 10, 2, 9, 6]  # from 2 up, from 9 and 6 down
    np.testing.assert_array_equal(contextual(context(segment, 2, 3, -4), NOTHING), column(6, 5, 2))
    np.testing.assert_array_equal(contextual(context(segment, 2, 3, 50), NOTHING), column(10, 0, 0))


def test_a_trend_ends_at_its_amplitude():
    np.testing.assert_array_equal(trend(context([1, 1, 1, 1, 7], 0, 4, 2), NOTHING), column(1.5, 2, 2.5, 3))


def test_a_seasonal_change_of_three_rows_is_one_period():
    wave = np.sqrt(3) / 2  # sin(2 pi / 3)
    np.testing.assert_allclose(
        seasonal(context([1, 1, 1], 0, 3, 2), NOTHING), column(1 + 2 * wave, 1 - 2 * wave, 1), atol=1e-12
    )


def test_a_seasonal_change_has_a_period_between_three_rows_and_its_length():
    found = [seasonal(context([0] * 60, 0, 60, 1), np.random.default_rng(seed))[:, 0] for seed in range(40)]
    crossings = [int((np.diff(np.sign(wave)) != 0).sum()) for wave in found]  # two in a period
    assert 1 <= min(crossings) <= 4
    assert 20 < max(crossings) <= 40


def test_a_noise_burst_adds_normal_noise_times_its_amplitude():
    noise = np.random.default_rng(5).standard_normal((3, 1))
    found = noise_burst(context([1, 2, 3, 4], 1, 3, 2), np.random.default_rng(5))
    np.testing.assert_array_equal(found, column(2, 3, 4) + 2 * noise)


def test_a_flat_line_repeats_its_first_row():
    np.testing.assert_array_equal(flat_line(context([1, 2, 3, 4], 1, 3, 9), NOTHING), column(2, 2, 2))


def test_a_decoupled_feature_shows_rows_from_its_own_length_away_or_farther():
    found = {
        tuple(decoupling(context(range(9), 3, 3, 9), np.random.default_rng(seed))[:, 0].tolist()) for seed in range(20)
    }
    assert found == {(0, 1, 2), (6, 7, 8)}


def test_a_deviation_is_robust_falls_back_where_a_feature_rests_and_is_nothing_where_it_never_moves():
    values = np.array([[0, 1, 2, 3, 100], [0, 0, 0, 0, 5], [7, 7, 7, 7, 7]], np.float32).T
    np.testing.assert_allclose(deviations(values), [1.4826, 2, 0])


def test_a_detector_with_a_memory_is_excused_for_as_many_rows_as_the_event_has():
    events = (Event("trend", 1, 3, ("s0",)), Event("point", 7, 8, ("s0",)))
    found = Injected(sensors(10, 1), events, np.ones(10, bool))
    assert np.flatnonzero(found.touched).tolist() == [1, 2, 3, 4, 7, 8]
    assert np.flatnonzero(found.of("trend")).tolist() == [1, 2]


# --- placement ---


@given(
    count=st.integers(150, 1500),
    anomaly_ratio=st.floats(0.02, 0.2),
    margin=st.integers(0, 40),
    cut=st.floats(0.3, 0.7),
    seed=st.integers(0, 1000),
)
def test_events_lie_apart_inside_their_segment_and_make_about_the_ratio(count, anomaly_ratio, margin, cut, seed):
    series = rows(count, (round(cut * count),))
    found = injected(anomaly_ratio=anomaly_ratio, seed=seed, margin=margin, series=series)
    longest = 0
    for first, after in series.segments():
        inner = found.inner[first:after]
        edge = min(margin, (after - first) // 3)
        assert np.flatnonzero(inner).tolist() == list(range(edge, after - first - edge))
    for event, following in zip(found.events, found.events[1:], strict=False):
        apart = following.start - event.stop
        assert apart >= min(event.stop - event.start, following.stop - following.start)
    for event in found.events:
        assert found.inner[event.start : event.stop].all()
        assert not any(event.start < row < event.stop for row in series.boundaries)
        assert event.stop - event.start == 1 or event.anomaly_type != "point"
        longest = max(longest, event.stop - event.start)
    assert longest <= LONGEST
    wanted = anomaly_ratio * found.inner.sum()
    assert wanted <= found.series.labels.sum() < wanted + longest


def test_no_event_reaches_across_a_break_without_margins():
    series = rows(1200, tuple(range(40, 1200, 40)))
    events = injected(["level_shift"], anomaly_ratio=0.3, margin=0, series=series).events
    assert len(events) > 20
    assert all(event.start // 40 == (event.stop - 1) // 40 for event in events)


def test_kinds_come_in_turn():
    anomaly_types = [event.anomaly_type for event in injected(anomaly_ratio=0.25, series=rows(4000, ())).events]
    counts = [anomaly_types.count(kind) for kind in ANOMALY_TYPES]
    assert min(counts) >= 1
    assert max(counts) - min(counts) <= 1


def test_an_event_touches_one_feature_in_five_or_more():
    series = sensors(6000, features=20)
    counts = [len(event.features) for event in injected(["level_shift"], anomaly_ratio=0.3, series=series).events]
    assert 4 <= min(counts) < 8
    assert 12 < max(counts) <= 20


def test_labels_of_the_rows_are_not_read():
    labeled = dataclasses.replace(rows(), labels=np.arange(900) % 2 == 0)
    found = injected(series=labeled)
    assert found.events == injected().events
    np.testing.assert_array_equal(found.series.labels, injected().series.labels)


# --- mistakes ---


@pytest.mark.parametrize(
    ("anomaly_types", "anomaly_ratio", "message"),
    [
        (
            [],
            0.1,
            r"needs an anomaly type and a ratio above 0 and up to 0\.3, but got anomaly_types=\[\] and anomaly_ratio=0\.1; "
            r"take some of point",
        ),
        (["point"], 0.0, r"but got anomaly_types=\['point'\] and anomaly_ratio=0\.0; .* a ratio such as 0\.1"),
        (["point"], 0.4, r"but got anomaly_types=\['point'\] and anomaly_ratio=0\.4"),
    ],
)
def test_no_anomaly_type_or_an_impossible_ratio_is_refused(anomaly_types, anomaly_ratio, message):
    with pytest.raises(ValueError, match=message):
        injected(anomaly_types, anomaly_ratio)


def test_rows_in_which_nothing_moves_are_refused():
    still = Series(np.ones((50, 2), np.float32), ("a", "b"))
    with pytest.raises(DataError, match="all 2 features are constant in these 50 rows; give rows in which one varies"):
        injected(series=still)


def test_rows_without_room_are_refused():
    with pytest.raises(
        DataError, match=r"none of \['trend'\] has room in 5 rows, or changes anything there; give more"
    ):
        injected(["trend"], series=sensors(5))


def test_a_flat_line_that_would_change_nothing_is_not_made():
    values = np.zeros((400, 1), np.float32)
    values[5] = 1  # in the margin
    with pytest.raises(DataError, match=r"none of \['flat_line'\] has room in 400 rows, or changes anything there"):
        injected(["flat_line"], series=Series(values, ("a",)))


def test_changes_have_the_precision_of_the_rows():
    series = sensors(400)
    wide = Series(1e12 + series.values.astype(np.float64), series.features)
    injected = [inject(rows, ANOMALY_TYPES, 0.1, np.random.default_rng(0)) for rows in (series, wide)]
    assert injected[1].series.values.dtype == np.float64
    assert injected[1].events == injected[0].events
    np.testing.assert_allclose(injected[1].series.values - 1e12, injected[0].series.values, atol=1e-3)
