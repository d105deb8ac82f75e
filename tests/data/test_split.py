import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import sensors
from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError
from tsad.windows import cut


def data_of(train=200, test=160):
    return DataSet("rows", "nowhere", sensors(train, 2, seed=1), sensors(test, 2, seed=2))


def test_cuts_lie_where_the_shares_say():
    parts = split(data_of(), SplitSpec(validation=0.25, selection=0.5, gap=20), reach=10)
    data = data_of()
    np.testing.assert_array_equal(parts.fit.values, data.train.values[:150])
    np.testing.assert_array_equal(parts.validation.values, data.train.values[170:])
    np.testing.assert_array_equal(parts.test.values, data.test.values)
    assert parts.selection == slice(0, 80)
    assert parts.reported == slice(100, 160)


def test_without_selection_all_test_rows_are_reported():
    parts = split(data_of(), SplitSpec(gap=10), reach=10)
    assert parts.selection is None
    assert parts.reported == slice(0, 160)


def test_breaks_stay_where_they_were():
    data = DataSet("rows", "nowhere", sensors(200, 2, boundaries=(60, 155, 180)), sensors(160, 2, boundaries=(40,)))
    parts = split(data, SplitSpec(gap=10), reach=10)
    assert (parts.fit.boundaries, parts.validation.boundaries, parts.test.boundaries) == ((60,), (20,), (40,))


@given(validation=st.floats(0.15, 0.7), selection=st.floats(0.1, 0.7), gap=st.integers(5, 30), length=st.integers(1, 5))
def test_no_window_lies_on_both_sides_of_a_cut(validation, selection, gap, length):
    data = data_of(400, 400)
    parts = split(data, SplitSpec(validation=validation, selection=selection, gap=gap), length)
    assert len(data.train) - len(parts.validation) - len(parts.fit) == gap
    assert parts.reported.start - parts.selection.stop == gap
    ends = cut(parts.test, length).ends
    reported = ends[ends >= parts.reported.start]
    assert int(reported.min()) - length + 1 >= parts.selection.stop


def test_a_gap_shorter_than_the_window_is_refused():
    with pytest.raises(DataError, match=r"got gap=10 and 11 rows; set split\.gap=11 or more, or take a shorter window"):
        split(data_of(), SplitSpec(gap=10), reach=11)


@pytest.mark.parametrize(
    ("keys", "name", "rows"),
    [
        ({"validation": 0.99}, "fit", 2),
        ({"validation": 0.1, "gap": 15}, "validation", 5),
        ({"validation": 0.1, "gap": 90}, "validation", 0),
        ({"selection": 0.95}, "reported", 0),
        ({"selection": 0.03}, "selection", 5),
    ],
)
def test_a_part_without_a_window_is_named(keys, name, rows):
    spec = SplitSpec(**({"gap": 10} | keys))
    with pytest.raises(DataError, match=rf"rows: the {name} part must hold the 10 rows of one score, but has {rows} "):
        split(data_of(), spec, reach=10)
