from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.errors import DataError
from tsad.series import Series, runs


def series(rows=10, **parts):
    return Series(np.arange(2 * rows, dtype=np.float32).reshape(rows, 2), ("a", "b"), **parts)


def test_a_part_keeps_the_breaks_that_lie_inside_it():
    labels = np.arange(10) % 2 == 0
    times = np.arange(10).astype("datetime64[m]")
    part = series(labels=labels, boundaries=(2, 5, 8), times=times).part(2, 8)
    assert part.boundaries == (3,)
    np.testing.assert_array_equal(part.values, series().values[2:8])
    np.testing.assert_array_equal(part.labels, labels[2:8])
    np.testing.assert_array_equal(part.times, times[2:8])


def test_a_part_shares_memory_with_the_whole():
    whole = series()
    assert np.shares_memory(whole.part(2, 8).values, whole.values)


def test_segments_lie_between_breaks():
    assert list(series(boundaries=(2, 5)).segments()) == [(0, 2), (2, 5), (5, 10)]
    assert list(series().segments()) == [(0, 10)]


def test_values_must_be_floats_in_two_dimensions():
    with pytest.raises(
        DataError, match=r"values must be \(rows, features\) float32 or float64, but got \(3, 2\) int64"
    ):
        Series(np.zeros((3, 2), np.int64), ("a", "b"))
    with pytest.raises(DataError, match=r"but got \(3,\) float32"):
        Series(np.zeros(3, np.float32), ("a",))


@pytest.mark.parametrize("features", [("a",), ("a", "a"), ("a", "b", "c")])
def test_each_feature_needs_a_name_of_its_own(features):
    with pytest.raises(DataError, match="each of 2 features needs one name of its own"):
        Series(np.zeros((3, 2), np.float32), features)


@pytest.mark.parametrize("name", ["labels", "times"])
def test_each_row_needs_a_label_and_a_time(name):
    with pytest.raises(DataError, match=rf"{name} must have one entry for each of 10 rows, but got shape \(9,\)"):
        series(**{name: np.zeros(9, bool)})


@pytest.mark.parametrize("boundaries", [(0,), (10,), (5, 3), (4, 4), (-1,)])
def test_breaks_ascend_inside_the_rows(boundaries):
    with pytest.raises(DataError, match="boundaries must ascend between 1 and 9"):
        series(boundaries=boundaries)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_finite_number_is_named_by_feature_and_row(value):
    values = np.zeros((10, 2), np.float32)
    values[[4, 7], 1] = value
    with pytest.raises(DataError, match=rf"feature 'b' has 2 values .* first at row 4 \({value}\)"):
        Series(values, ("a", "b"))


@given(st.lists(st.booleans(), max_size=30))
def test_runs_are_the_unbroken_stretches(flags):
    found = runs(np.array(flags, bool))
    painted = np.zeros(len(flags), bool)
    for start, stop in found:
        assert start < stop
        painted[start:stop] = True
    assert painted.tolist() == flags
    assert all(stop < start for (_, stop), (start, _) in pairwise(found))
