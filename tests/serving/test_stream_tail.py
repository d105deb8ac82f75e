"""The last rows of a stream on disk: what a kill leaves is read, and the file does not grow."""

import numpy as np
import pytest

from tsad.serving.stream_tail import TAIL, StreamTail, rows_kept

FEATURES = ("a", "b")
VALUES = np.arange(4000.0).reshape(2000, 2)
TIMES = np.datetime64("2026-01-01", "s") + np.arange(2000).astype("timedelta64[s]")


@pytest.fixture
def tail(tmp_path):
    return StreamTail(tmp_path, 2)


def appended(tail, first, stop, times=TIMES, values=VALUES):
    tail.append(first, values[first:stop], None if times is None else times[first:stop], context=10)


def test_rows_come_back_with_their_times_and_type(tail, tmp_path):
    appended(tail, 0, 3)
    appended(tail, 3, 10)
    rows = StreamTail(tmp_path, 2).rows(10, FEATURES)
    np.testing.assert_array_equal(rows.values, VALUES[:10])
    np.testing.assert_array_equal(rows.times, TIMES[:10])
    single = StreamTail(tmp_path / "single", 2)
    (tmp_path / "single").mkdir()
    appended(single, 0, 5, times=None, values=VALUES.astype(np.float32))
    assert single.rows(5, FEATURES).values.dtype == np.float32
    assert single.rows(5, FEATURES).times is None


def test_rows_that_were_never_taken_are_not_there_and_are_written_again(tail):
    appended(tail, 0, 5)
    tail.append(5, VALUES[100:110], TIMES[100:110], context=10)  # before a kill
    np.testing.assert_array_equal(tail.rows(5, FEATURES).values, VALUES[:5])
    appended(tail, 5, 8)
    np.testing.assert_array_equal(tail.rows(8, FEATURES).values, VALUES[:8])
    appended(tail, 8, 20)
    np.testing.assert_array_equal(tail.rows(20, FEATURES).values, VALUES[:20])


@pytest.mark.parametrize("cut", [1, 17, 39])
def test_a_record_that_was_cut_off_shifts_nothing(tail, tmp_path, cut):
    appended(tail, 0, 6)
    path = tmp_path / TAIL
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(tail.rows(6, FEATURES)) == 0  # the newest is missing
    np.testing.assert_array_equal(tail.rows(5, FEATURES).values, VALUES[:5])
    appended(tail, 5, 9)
    np.testing.assert_array_equal(tail.rows(9, FEATURES).values, VALUES[:9])


def test_the_file_is_bounded_and_holds_what_is_needed(tail, tmp_path):
    for first in range(0, 2000, 7):
        appended(tail, first, first + 7)
        assert (tmp_path / TAIL).stat().st_size <= 2 * 256 * 40
    rows = tail.rows(2000, FEATURES)
    assert 256 <= len(rows) <= 512
    np.testing.assert_array_equal(rows.values, VALUES[-len(rows) :])


def test_no_file_is_no_rows(tail):
    assert len(tail.rows(7, FEATURES)) == 0


def test_more_is_kept_for_models_that_look_further_back_and_less_of_wide_rows():
    assert [rows_kept(*sizes) for sizes in ((10, 6), (1000, 6), (5000, 6), (10, 10_000), (1, 10**6))] == [
        256, 2000, 4096, 40, 1,
    ]  # fmt: skip
