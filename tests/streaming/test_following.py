"""Streams that another detector takes over: no row twice, none left out, scores as if it had seen all rows."""

import numpy as np
import pytest

from tests.examples import detector_of, sensors
from tsad.detector.scoring import ScoringSpec
from tsad.models.baselines.principal import PcaErrorSpec, WindowLinearSpec
from tsad.series import Series
from tsad.streaming import ScoredRows, Stream, StreamPolicy, storage

ROWS = sensors(400)
TRAIN, TEST = ROWS.part(0, 300), ROWS.part(300, 400)
POLICY = StreamPolicy(fill_to=128)


def detector(spec, length, over):
    return detector_of(spec, TRAIN, length, ScoringSpec(over=over))


SHORT = detector(PcaErrorSpec(kind="pca_error", components=2), 4, "last")
LONG = detector(WindowLinearSpec(kind="window_linear", components=6), 9, "mean")
"""Detectors of which the second one knows a score only eight rows later."""


def began(one, rows, folder, policy=POLICY):
    """Returns what a detector scored of the first rows of a stream, which it saved."""
    stream = Stream(one, policy)
    scored = stream.push(rows.values, rows.times)
    stream.save(folder)
    return scored


def moved(other, folder, tail):
    note, arrays = storage.read(folder)
    waiting = arrays["pending"][arrays["pending"] >= 0]
    return Stream.following(other, note, int(waiting[0]) if len(waiting) else note.rows, tail)


@pytest.mark.parametrize(
    ("first", "second"), [(SHORT, LONG), (LONG, SHORT), (LONG, LONG)], ids=["later", "sooner", "same"]
)
@pytest.mark.parametrize("cut", [0, 1, 3, 8, 9, 50, 99])
def test_each_row_is_scored_once_by_the_detector_that_was_live(tmp_path, first, second, cut):
    old = began(first, TEST.part(0, cut), tmp_path)
    stream, owed = moved(second, tmp_path, TEST.part(0, cut))
    assert stream.rows == cut
    stream.save(tmp_path)
    stream = Stream.load(tmp_path, second)
    new = owed.then(stream.push(TEST.values[cut:]), stream.finish())
    rows = np.concatenate([old.rows, new.rows])
    np.testing.assert_array_equal(rows, np.arange(100))
    np.testing.assert_allclose(old.scores, first.score(TEST).values[: len(old)], rtol=1e-12)
    np.testing.assert_allclose(new.scores, second.score(TEST).values[len(old) :], rtol=1e-12)
    assert set(new.thresholds) == {second.threshold.value}


@pytest.mark.parametrize("length", [0, 2, 5])
def test_a_tail_that_is_too_short_costs_scores_but_no_rows(tmp_path, length):
    old = began(LONG, TEST.part(0, 40), tmp_path)
    stream, owed = moved(SHORT, tmp_path, TEST.part(40 - length, 40))
    new = owed.then(stream.push(TEST.values[40:]), stream.finish())
    np.testing.assert_array_equal(np.concatenate([old.rows, new.rows]), np.arange(100))
    expected = SHORT.score(TEST).values
    seen = new.rows >= 40 - length + 3
    np.testing.assert_allclose(new.scores[seen], expected[new.rows[seen]], rtol=1e-12)
    assert np.isnan(new.scores[~seen]).all()
    assert not new.flags[~seen].any()


def test_gaps_and_late_rows_of_before_count_after_the_move(tmp_path):
    policy = StreamPolicy(step_seconds=1, gap="ffill", late="drop", fill_to=128, most_filled=5)
    steps = np.array([*range(20), 23, 24, *range(30, 34), 33, 50, 51, 52, 53, 54])
    times = np.datetime64("2026-01-01") + steps.astype("timedelta64[s]")
    values = TEST.values[: len(steps)]
    whole = Stream(SHORT, policy)
    expected = whole.push(values[:22], times[:22])
    for row in range(22, len(steps)):
        expected = expected.then(whole.push(values[row : row + 1], times[row : row + 1]))
    for cut in (21, 23, 26, 27, 29):
        stream = Stream(SHORT, policy)
        old = ScoredRows.none(6)
        for first, stop in ((0, 20), (20, 21), (21, cut)):
            old = old.then(stream.push(values[first:stop], times[first:stop]))
        stream.save(tmp_path)
        accepted = [row for row in range(cut) if row != 26]
        tail = Series(values[accepted], TEST.features, times=times[accepted])
        follower, owed = moved(SHORT, tmp_path, tail)
        assert (follower.rows, follower.dropped, follower.latest) == (stream.rows, stream.dropped, stream.latest)
        assert follower.policy == policy
        new = owed
        for row in range(cut, len(steps)):
            new = new.then(follower.push(values[row : row + 1], times[row : row + 1]))
        found = old.then(new)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-12)
