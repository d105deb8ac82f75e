import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.test_plots import legend, line, saved, shades
from tsad.evaluation.plots.detections import Detections, LongLine, Shades

NAN = np.nan


def drawn(values, scores, flags, size=1, chunks=1, **columns):
    """Returns what was taken of a series in some chunks; its features are a, b, ..."""
    found = Detections("abcdefgh"[: values.shape[1]], size)
    scored = pd.DataFrame({"score": scores, "flag": flags} | columns)
    for rows in np.array_split(np.arange(len(scores)), chunks):
        found.take_values(int(rows[0]), values[rows])
        found.take_scores(int(rows[0]), scored.iloc[rows])
    return found


# --- what is kept ---


def test_a_line_keeps_the_lowest_and_the_highest_that_share_a_pixel():
    kept = LongLine(4)
    kept.take(0, np.array([1.0, 5, 2, 3, 7, 7, 7, 7]))
    kept.take(8, np.array([NAN, NAN, np.inf, NAN, 0]))
    rows, values = kept.points
    assert rows.tolist() == [0, 1, 4, 8, 12]
    np.testing.assert_array_equal(values, [1, 5, 7, NAN, 0])


def test_a_line_of_single_rows_keeps_them_all():
    kept = LongLine(1)
    kept.take(3, np.array([1.0, 1, NAN, 2]))
    rows, values = kept.points
    assert rows.tolist() == [3, 4, 5, 6]
    np.testing.assert_array_equal(values, [1, 1, NAN, 2])


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_every_flag_is_shaded_and_stretches_are_counted_as_they_are(flags, size, chunks):
    flags = np.array(flags, bool)
    found = Shades(size)
    for rows in np.array_split(np.arange(len(flags)), chunks):
        found.take(int(rows[0]) if len(rows) else 0, flags[rows])
    shaded = np.zeros(len(flags), bool)
    for start, stop in found.stretches:
        shaded[start:stop] = True
    assert shaded[flags].all()
    assert found.flagged == flags.sum()
    assert found.events == (np.diff(flags.astype(int), prepend=0) == 1).sum()
    if size == 1:
        np.testing.assert_array_equal(shaded, flags)
        assert len(found.stretches) == found.events


# --- which features ---

SCORES = np.array([NAN, 1.0, 9.0, 8.0, 2.0])
FLAGS = SCORES > 7


def test_features_that_gave_most_to_flags_are_drawn_first():
    shares = {"feature_1": ["b", "b", "a", "a", "b"], "share_1": [0.9, 0.9, 0.6, 0.5, 0.9]}
    more = {"feature_2": ["c", "c", "c", "b", "c"], "share_2": [0.1, 0.1, 0.4, 0.5, 0.1]}
    found = drawn(np.zeros((5, 4)), SCORES, FLAGS, chunks=2, **shares, **more)
    assert found.involved(2) == ["a", "b"]
    assert found.involved(9) == ["a", "b", "c"]


def test_where_nothing_explains_the_flags_the_features_that_change_most_are_drawn():
    values = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 1, 1], [0, 1, 0]], float)
    assert drawn(values, SCORES, FLAGS).involved(2) == ["c", "b"]


# --- the picture ---


def test_features_and_the_score_stand_above_each_other_and_flags_are_shaded_in_all():
    values = np.arange(10.0).reshape(5, 2)
    figure = drawn(values, SCORES, FLAGS).draw(["b", "a"], "title")
    assert [axes.get_ylabel() for axes in figure.axes] == ["b", "a", "score"]
    assert all(shades(axes, "flagged") == [(1.5, 3.5)] for axes in figure.axes)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), values[:, 1])
    np.testing.assert_array_equal(figure.axes[2].lines[0].get_ydata(), SCORES)
    assert figure.axes[2].get_xlim() == (-0.5, 4.5)
    assert figure.get_suptitle() == "title"
    assert saved(figure)[0] == 1080


def test_thresholds_are_drawn_where_they_are_known():
    figure = drawn(np.zeros((5, 1)), SCORES, FLAGS, threshold=[3.0, 3, 3, 5, 5]).draw(["a"], "title")
    assert legend(figure) == ["flagged", "threshold 3 to 5"]
    assert line(figure, "threshold")[1].tolist() == [3, 3, 3, 5, 5]


def test_without_thresholds_the_lowest_flagged_score_is_drawn_if_it_tells_them():
    assert legend(drawn(np.zeros((5, 1)), SCORES, FLAGS).draw(["a"], "title"))[-1] == "lowest flagged score 8"
    moved = np.array([False, False, True, False, True])
    assert legend(drawn(np.zeros((5, 1)), SCORES, moved).draw(["a"], "title")) == ["flagged"]
    assert legend(drawn(np.zeros((5, 1)), SCORES, np.zeros(5, bool)).draw(["a"], "title")) == []


@pytest.mark.parametrize(
    ("scores", "scale"), [([1.0, 2, 1, 1000], "log"), ([1.0, 2, 1, 10], "linear"), ([NAN] * 4, "linear")]
)
def test_only_heavy_tails_get_a_logarithmic_axis(scores, scale):
    figure = drawn(np.zeros((4, 1)), np.array(scores), np.zeros(4, bool)).draw(["a"], "title")
    assert figure.axes[-1].get_yscale() == scale
    assert saved(figure)


def test_a_long_series_is_drawn_at_once_with_every_peak_and_flag():
    rows = 300_000
    generator = np.random.default_rng(0)
    values, scores = generator.random((rows, 2)), generator.random(rows)
    values[123_456, 0], scores[254_321] = 99.0, 77.0
    flags = scores > 1
    start = time.process_time()
    figure = drawn(values, scores, flags, size=250, chunks=30).draw(["a", "b"], "title")
    assert saved(figure)
    assert time.process_time() - start < 10
    for axes, row, peak in ((figure.axes[0], 123_456, 99), (figure.axes[2], 254_321, 77)):
        drawn_line = axes.lines[0]
        assert len(drawn_line.get_xdata()) <= 2 * rows / 250
        assert drawn_line.get_ydata()[drawn_line.get_xdata() == row] == peak
    ((first, last),) = shades(figure.axes[0], "flagged")
    assert first < 254_321 < last
    assert last - first == 250
