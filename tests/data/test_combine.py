import numpy as np
import pytest

from tsad.data.combine import average_rows
from tsad.data.dataset import DataSet, RootCause
from tsad.series import Series


def data_of(rows, *, labels=None, boundaries=(), root_causes=(), times=None):
    values = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    labels = None if labels is None else np.isin(np.arange(rows), labels)
    test = Series(values, ("a", "b"), labels=labels, boundaries=boundaries, times=times)
    return DataSet("d", "here", train=Series(values, ("a", "b")), test=test, root_causes=root_causes, step_seconds=60.0)


def test_rows_are_means_and_a_label_survives():
    found = average_rows(data_of(7, labels=[2]), 3)
    assert found.test.values.tolist() == [[2, 3], [8, 9]]
    assert found.train.values.tolist() == [[2, 3], [8, 9]]
    assert found.test.labels.tolist() == [True, False]
    assert found.step_seconds == 180


def test_no_row_reaches_across_a_break():
    found = average_rows(data_of(8, boundaries=(3,)), 2).test
    assert found.values[:, 0].tolist() == [1, 7, 11]
    assert found.boundaries == (1,)


def test_a_segment_that_fills_no_row_is_dropped():
    found = average_rows(data_of(8, boundaries=(3, 4)), 2).test
    assert found.values[:, 0].tolist() == [1, 9, 13]
    assert found.boundaries == (1,)


def test_times_are_those_of_the_first_row():
    times = np.datetime64("2026-01-01T00:00") + np.arange(4).astype("timedelta64[m]")
    assert average_rows(data_of(4, times=times), 2).test.times.tolist() == times[[0, 2]].tolist()


@pytest.mark.parametrize(("rows", "stretch"), [((4, 7), (1, 3)), ((0, 1), (0, 1)), ((6, 8), (2, 3))])
def test_causes_move_with_their_rows(rows, stretch):
    found = average_rows(data_of(9, labels=list(range(*rows)), root_causes=(RootCause(*rows, ("a",)),)), 3)
    assert found.root_causes == (RootCause(*stretch, ("a",)),)
    assert found.test.labels[slice(*stretch)].all()


def test_every_row_is_the_data_as_it_is():
    data = data_of(4)
    assert average_rows(data, 1) is data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_have_the_precision_of_the_rows(dtype):
    values = (1e9 if dtype == np.float64 else 0) + np.arange(8.0)[:, None]
    series = Series(values.astype(dtype), ("a",))
    averaged = average_rows(DataSet("rows", "memory", series, series), 2).train.values
    assert averaged.dtype == dtype
    np.testing.assert_array_equal(np.diff(averaged[:, 0]), [2, 2, 2])
