import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import sensors
from tsad.series import Series
from tsad.windows import WindowSpec, cut


@st.composite
def cuts(draw):
    """Draws a series with boundaries, a window length that fits somewhere, and a stride."""
    rows = draw(st.integers(1, 40))
    boundaries = tuple(sorted(draw(st.sets(st.integers(1, rows - 1), max_size=4)))) if rows > 1 else ()
    series = sensors(rows, features=2, boundaries=boundaries)
    longest = max(after - first for first, after in series.segments())
    return series, draw(st.integers(1, longest)), draw(st.integers(1, 5))


@given(cuts())
def test_windows_start_exactly_where_they_may(drawn):
    series, length, stride = drawn
    expected = [
        start for first, after in series.segments() for start in range(first, after, stride) if start + length <= after
    ]
    assert cut(series, length, stride).starts.tolist() == expected


@given(cuts())
def test_windows_at_stride_one_cover_exactly_the_rows_of_long_enough_segments(drawn):
    series, length, _ = drawn
    windows = cut(series, length)
    covered = {row for start in windows.starts.tolist() for row in range(start, start + length)}
    allowed = {row for first, after in series.segments() if after - first >= length for row in range(first, after)}
    assert covered == allowed


@given(cuts())
def test_no_window_reaches_across_a_break(drawn):
    series, length, stride = drawn
    for start in cut(series, length, stride).starts.tolist():
        assert not any(start < row < start + length for row in series.boundaries)


@given(cuts(), st.randoms(use_true_random=False))
def test_taking_windows_is_slicing_rows(drawn, random):
    series, length, stride = drawn
    windows = cut(series, length, stride)
    places = [random.randrange(len(windows)) for _ in range(6)]
    taken = windows.take(torch.tensor(places))
    assert taken.shape == (6, length, 2)
    for window, place in zip(taken, places, strict=True):
        start = int(windows.starts[place])
        np.testing.assert_array_equal(window, series.values[start : start + length])


@given(cuts(), st.integers(1, 20))
def test_batches_hold_every_window_once_and_in_time_order(drawn, size):
    series, length, stride = drawn
    windows = cut(series, length, stride)
    batches = list(windows.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    assert torch.equal(torch.cat(batches), windows.take(torch.arange(len(windows))))


def test_batches_follow_a_given_order(small_series):
    windows = cut(small_series, 8)
    order = torch.tensor([5, 0, 99])
    first, second = windows.batches(2, order)
    assert torch.equal(torch.cat([first, second]), windows.take(order))


def test_a_window_ends_with_its_last_row(small_series):
    windows = cut(small_series, 8)
    assert torch.equal(windows.take(torch.arange(len(windows)))[:, -1], windows.rows[windows.ends])


def test_windows_share_the_memory_of_the_rows(small_series):
    windows = cut(small_series, 50)
    assert windows.rows.data_ptr() == small_series.values.ctypes.data
    assert windows.rows.untyped_storage().nbytes() == small_series.values.nbytes


def test_rows_that_cannot_be_written_are_read_all_the_same(small_series):
    small_series.values.flags.writeable = False
    windows = cut(small_series, 8)
    np.testing.assert_array_equal(windows.take(torch.tensor([3]))[0], small_series.values[3:11])


def test_a_window_longer_than_every_segment_is_refused_with_the_longest_one():
    series = sensors(100, boundaries=(36,))
    with pytest.raises(ValueError, match=r"got length=65 and 64 rows \(rows 36-99\)"):
        cut(series, 65)


def test_there_is_no_window_without_a_row():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        WindowSpec(length=0)
    with pytest.raises(ValueError, match="length=3 and 0 rows"):
        cut(Series(np.zeros((0, 2), np.float32), ("a", "b")), 3)
