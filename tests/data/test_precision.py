"""float64 where float32 would round variation away: which data sets, what scalers make of it, and what is left as it was."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import sensors
from tsad.data.precision import loses_variation, named, narrowed
from tsad.data.scale import NoScalerSpec, Scaler, StandardScalerSpec
from tsad.series import Series

NOISE = np.random.default_rng(0).normal(size=400)
RAMP = np.arange(400.0)


def one(column, dtype=np.float64):
    return Series(np.asarray(column, dtype)[:, None], ("x",))


@pytest.mark.parametrize(
    ("column", "loses"),
    [
        (NOISE, False),
        (1e-20 * NOISE, False),
        (1e-45 * NOISE, True),  # below the range of float32
        (1e30 * NOISE, False),
        (1000 + NOISE, False),
        (1e5 + NOISE, True),
        (1.7e9 + 10 * NOISE, True),
        (1e12 + 1e6 * RAMP, True),  # a counter
        (-1e12 - 1e6 * RAMP, True),
        (1e12 + 1e12 * RAMP, False),  # scaled values are rounded as much
        (RAMP / 1e6, False),
        (RAMP**12, False),
        (1 + 1e-9 * NOISE, True),
        (1e9 + np.cumsum(NOISE) + 1e5 * (RAMP > 200), True),  # steps count, not the one jump
        (np.full(400, 1013.25), False),
        (np.full(400, 1.7e9), True),  # scalers count a constant feature in its own unit
        (np.zeros(400), False),
        (np.array([5.0]), False),
        (np.empty(0), False),
    ],
)
def test_a_feature_loses_variation_if_float32_rounds_its_changes(column, loses):
    assert loses_variation(column[:, None]).tolist() == [loses]


def test_the_training_rows_decide_for_all_rows_and_all_features():
    plain, offset = np.stack([NOISE, NOISE], axis=1), np.stack([NOISE, 1e9 + NOISE], axis=1)
    series = {name: Series(values, ("a", "b")) for name, values in (("plain", plain), ("offset", offset))}
    for first, second, dtype in (("plain", "offset", np.float32), ("offset", "plain", np.float64)):
        parts = narrowed(series[first], series[second])
        assert [part.values.dtype for part in parts] == [dtype, dtype]
        np.testing.assert_array_equal(parts[1].values, series[second].values.astype(dtype))


def test_values_that_are_in_float32_already_scale_to_the_same_bits():
    series = sensors(300)
    wide = Series(series.values.astype(np.float64), series.features)
    assert narrowed(wide)[0].values.tobytes() == series.values.tobytes()
    scaler = StandardScalerSpec().fit(series)
    assert scaler.precision == "float32"
    assert scaler.apply(wide).values.tobytes() == scaler.apply(series).values.tobytes()


@given(
    offset=st.sampled_from([0.0, 1e6, -1.7e9, 1e12, 1e15]),
    amplitude=st.sampled_from([1e-9, 1e-3, 1.0, 1e3, 1e6]),
    seed=st.integers(0, 100),
)
def test_scaled_values_do_not_depend_on_an_offset(offset, amplitude, seed):
    column = amplitude * np.random.default_rng(seed).normal(size=100)
    if abs(offset) * 2.0**-53 > 1e-4 * amplitude:  # float64 itself has no room for it
        return
    plain, shifted = narrowed(one(column))[0], narrowed(one(offset + column))[0]
    scaled = [StandardScalerSpec().fit(series).apply(series).values for series in (plain, shifted)]
    np.testing.assert_allclose(scaled[1], scaled[0], atol=2e-3)
    assert scaled[1].dtype == np.float32


@pytest.mark.parametrize("level", [0.3, 1.7e9, 1e15, 1e-50])
def test_a_constant_feature_in_float64_is_only_shifted(level):
    column = np.full(400, level)
    column[7] = np.nextafter(level, np.inf)  # as after 0.1 + 0.2
    scaler = StandardScalerSpec(clip=None).fit(one(column))
    assert (scaler.scale.tolist(), scaler.precision) == ([1.0], "float64")
    assert scaler.apply(one([level + 32])).values[0, 0] == pytest.approx(32, abs=0.2)


def test_a_scaler_of_float32_rows_rounds_others_as_they_were_rounded():
    values = np.array([[1 / 3]])
    scaler = Scaler(np.zeros(1), np.full(1, 1e-9), None)
    assert scaler.rounded(values).dtype == np.float32
    assert scaler.apply(one(values[0])).values[0, 0] == np.float32(float(np.float32(1 / 3)) / 1e-9)


def test_a_scaler_is_blind_where_float32_steps_are_coarser_than_a_tenth_of_the_deviation():
    center, scale = np.array([2.0**24, 2.0**24, 0.0, -1.7e9]), np.array([19.0, 21.0, 1.0, 1.0])
    assert Scaler(center, scale, None).blind.tolist() == [True, False, False, True]
    assert not Scaler(center, scale, None, "float64").blind.any()


def test_no_scaler_says_that_the_model_gets_rounded_values(caplog):
    with caplog.at_level(logging.WARNING):
        NoScalerSpec(kind="none").fit(Series(np.stack([1e9 + NOISE, NOISE], axis=1), ("energy", "load")))
        NoScalerSpec(kind="none").fit(sensors(50))
    assert [record.getMessage() for record in caplog.records] == [
        "scaler none passes float32 values to the model, which round the variation of 'energy' away; set scaler.kind=standard"
    ]


def test_many_features_are_counted_in_a_message():
    assert named(["a", "b", "c"], np.array([True, False, True])) == "'a', 'c'"
    assert named([f"s{number}" for number in range(9)], np.ones(9, bool)) == "'s0', 's1', 's2' and 6 more"
