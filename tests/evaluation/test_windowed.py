import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import sensors
from tsad.evaluation.windowed import to_windows
from tsad.windows import cut

SCORES = np.array([1.0, 5.0, 3.0, 0.0, 2.0, 4.0, 9.0])
LABELS = np.array([0, 0, 0, 1, 0, 0, 1], bool)
FLAGS = np.array([1, 0, 0, 0, 0, 0, 1], bool)


def test_windows_by_hand():
    windows = to_windows(SCORES, LABELS, FLAGS, length=3, stride=2)
    assert windows.scores.tolist() == [5.0, 3.0, 9.0]
    assert windows.labels.tolist() == [False, True, True]
    assert windows.flags.tolist() == [True, False, True]


def test_the_mean_by_hand():
    windows = to_windows(SCORES, LABELS, None, length=3, stride=2, summary="mean")
    np.testing.assert_allclose(windows.scores, [3.0, 5 / 3, 5.0])
    assert windows.flags is None


def test_rows_that_fill_no_window_are_in_none():
    windows = to_windows(SCORES, LABELS, FLAGS, length=4, stride=2)
    assert windows.scores.tolist() == [5.0, 4.0]  # row 6 is left over
    assert windows.labels.tolist() == [True, True]
    assert windows.flags.tolist() == [True, False]


def test_windows_of_one_row_are_the_rows():
    windows = to_windows(SCORES, LABELS, FLAGS, length=1)
    for got, rows in zip(windows, (SCORES, LABELS, FLAGS), strict=True):
        np.testing.assert_array_equal(got, rows)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30), st.data())
def test_windows_are_those_of_the_series_and_their_flags_agree_with_their_maximum(rows, data):
    scores, labels = np.array([score for score, _ in rows], float), np.array([label for _, label in rows])
    length, stride = data.draw(st.integers(1, len(rows))), data.draw(st.integers(1, 8))
    windows = to_windows(scores, labels, scores > 3, length=length, stride=stride)
    starts = cut(sensors(len(rows)), length, stride).starts.tolist()
    assert windows.scores.tolist() == [max(scores[start : start + length]) for start in starts]
    assert windows.labels.tolist() == [any(labels[start : start + length]) for start in starts]
    np.testing.assert_array_equal(windows.flags, windows.scores > 3)


@pytest.mark.parametrize(("length", "stride"), [(0, 1), (8, 1), (3, 0)])
def test_windows_that_do_not_fit_are_refused(length, stride):
    with pytest.raises(
        ValueError, match=rf"but got length={length}, stride={stride} and 7 rows; take a shorter window"
    ):
        to_windows(SCORES, LABELS, FLAGS, length=length, stride=stride)
