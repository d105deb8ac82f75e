import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import detector_of, event_table, sensors
from tsad.detector.score_table import Events, explained, flag_table, score_columns
from tsad.detector.scoring import ScoringSpec
from tsad.errors import DataError, SpecError
from tsad.models.baselines.l2 import L2Spec

NAN = np.nan
FEATURES = ("a", "b", "c")


def plain(table):
    """Returns the rows of a table as tuples, None where a cell is empty."""
    return list(table.astype(object).where(table.notna(), None).itertuples(index=False, name=None))


# --- who explains a row ---


def test_the_features_that_gave_most_are_named_with_their_share():
    found = explained(np.array([[1.0, 6.0, 3.0], [5.0, 0.0, 0.0]]), FEATURES, 2)
    assert list(found.columns) == ["feature_1", "share_1", "feature_2", "share_2"]
    assert plain(found) == [("b", 0.6, "c", 0.3), ("a", 1.0, "b", 0.0)]


def test_a_row_of_which_nothing_is_known_is_explained_by_nothing():
    assert plain(explained(np.array([[NAN, NAN, NAN], [0.0, 0.0, 2.0]]), FEATURES, 1)) == [(None, None), ("c", 1.0)]


def test_where_no_feature_gave_anything_all_have_the_same_share():
    assert plain(explained(np.zeros((1, 3)), FEATURES, 3)) == [("a", 1 / 3, "b", 1 / 3, "c", 1 / 3)]


def test_of_equal_features_the_first_is_named_first():
    assert plain(explained(np.array([[1.0, 2.0, 2.0]]), FEATURES, 2)) == [("b", 0.4, "c", 0.4)]


def test_a_feature_that_gave_infinitely_much_has_an_unknown_share():
    assert plain(explained(np.array([[1.0, np.inf, 2.0]]), FEATURES, 1)) == [(None, None)]


@pytest.mark.parametrize(("top", "columns"), [(0, 0), (2, 4), (3, 6), (99, 6)])
def test_no_more_features_are_named_than_there_are(top, columns):
    assert explained(np.ones((4, 3)), FEATURES, top).shape == (4, columns)
    assert len(score_columns(FEATURES, top)) == 2 + columns


def test_fewer_than_no_features_cannot_be_named():
    with pytest.raises(DataError, match=r"the number of features that explain a row must be at least 0, but got -1"):
        explained(np.ones((1, 3)), FEATURES, -1)


# --- rows ---

SERIES = sensors(60)
DETECTOR = detector_of(L2Spec(kind="l2"), SERIES, 4, ScoringSpec(compress="root"))
ROWS = pd.DataFrame(SERIES.values.astype(float), columns=list(SERIES.features)).assign(comment="fine")


def test_a_table_gets_scores_and_flags_and_no_more_unless_asked():
    found, scores = flag_table(DETECTOR, ROWS, "rows"), DETECTOR.score(SERIES)
    assert list(found.columns) == ["score", "flag"]
    assert found["flag"].dtype == bool
    assert found["score"].tolist()[:4] == [None, None, None, scores.values[3]]
    np.testing.assert_array_equal(found["flag"], DETECTOR.flag(scores))


def test_a_table_is_explained_where_it_has_a_score():
    found, scores = flag_table(DETECTOR, ROWS, "rows", top=2), DETECTOR.score(SERIES)
    assert list(found.columns) == score_columns(SERIES.features, 2)
    assert found.iloc[2].tolist() == [None, False, None, None, None, None]
    expected = explained(scores.by_feature[3:], SERIES.features, 2)
    assert plain(found.iloc[3:, 2:]) == plain(expected)
    assert found.index.equals(ROWS.index)


def test_an_empty_smoothed_score_is_not_explained_although_its_error_is_known():
    scoring = ScoringSpec.model_validate({"smooth": {"kind": "mean", "length": 5}})
    found = flag_table(detector_of(L2Spec(kind="l2"), SERIES, 1, scoring), ROWS, "rows", top=1)
    assert found["feature_1"].isna().tolist() == [True] * 4 + [False] * 56


def test_a_threshold_replaces_that_of_the_detector():
    scores = DETECTOR.score(SERIES).values
    threshold = float(np.nanmedian(scores))
    assert flag_table(DETECTOR, ROWS, "rows", threshold=threshold)["flag"].tolist() == (scores > threshold).tolist()


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(SpecError, match="threshold: value: input should be a finite number"):
        flag_table(DETECTOR, ROWS, "rows", threshold=NAN)


def test_a_cell_that_is_none_is_named_by_the_index_of_its_row():
    rows = ROWS.assign(s1=ROWS["s1"].where(ROWS.index != 17)).set_axis(range(1000, 1060))
    with pytest.raises(DataError, match=r"rows: column 's1' has 1 empty cells, first at row 1017"):
        flag_table(DETECTOR, rows, "rows")


# --- stretches ---

SCORES = np.array([NAN, 0.1, 2.0, 3.0, 3.0, 0.2, 5.0])
FLAGS = SCORES > 1
GIVEN = np.array([[NAN] * 3, [9, 9, 9], [1, 0, 1], [1, 5, 0], [0, 2, 0], [9, 9, 9], [0, 0, 4]], float)
TIMES = ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]


def test_each_stretch_of_flags_is_a_row_by_hand():
    found = event_table(Events(FEATURES, 2), np.arange(10, 17), TIMES, SCORES, FLAGS, GIVEN)
    assert found.columns[:6].tolist() == ["first_row", "last_row", "start", "end", "peak_row", "peak_score"]
    assert plain(found) == [
        (12, 14, "t2", "t4", 13, 3.0, "b", 0.7, "a", 0.2),
        (16, 16, "t6", "t6", 16, 5.0, "c", 1.0, "a", 0.0),
    ]


def test_without_times_a_stretch_has_rows_only():
    found = event_table(Events(FEATURES, 0), np.arange(7), None, SCORES, FLAGS, GIVEN)
    assert plain(found) == [(2, 4, None, None, 3, 3.0), (6, 6, None, None, 6, 5.0)]


def test_without_flags_there_is_no_stretch():
    found = event_table(Events(FEATURES, 2), np.arange(7), TIMES, SCORES, np.zeros(7, bool), GIVEN)
    assert len(found) == 0
    assert list(found.columns)[-4:] == ["feature_1", "share_1", "feature_2", "share_2"]


@settings(max_examples=10)
@given(st.lists(st.booleans(), max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_stretches_do_not_depend_on_the_chunks_that_rows_come_in(flags, cuts):
    flags = np.array(flags, bool)
    generator = np.random.default_rng(len(flags))
    rows, scores, given_ = (
        np.arange(len(flags)) + 5,
        generator.integers(0, 3, len(flags)) / 2,
        generator.random((len(flags), 3)),
    )
    times = [f"t{row}" for row in rows]
    events, found = Events(FEATURES, 2), []
    edges = sorted({0, *(min(cut, len(flags)) for cut in cuts), len(flags)})
    for first, after in zip([0, *edges], [*edges, len(flags)], strict=True):
        part = slice(first, after)
        found += plain(events.take(rows[part], times[part], scores[part], flags[part], given_[part]))
    found += plain(events.close())
    whole = plain(event_table(Events(FEATURES, 2), rows, times, scores, flags, given_))
    assert [row[:7] for row in found] == [row[:7] for row in whole]
    np.testing.assert_allclose([row[7] for row in found], [row[7] for row in whole])


def test_a_stretch_is_told_as_soon_as_it_has_ended():
    events = Events(FEATURES, 0)
    assert plain(events.take(np.arange(4), None, SCORES[:4], FLAGS[:4], GIVEN[:4])) == []
    assert plain(events.take(np.arange(4, 6), None, SCORES[4:6], FLAGS[4:6], GIVEN[4:6])) == [
        (2, 4, None, None, 3, 3.0)
    ]
    assert plain(events.close()) == []


def test_numbers_of_rows_are_whole_beside_a_table_without_events():
    arrays = (np.arange(3), None, np.array([0.0, 2.0, 3.0]), np.array([False, True, True]), np.ones((3, 2)))
    events = Events(["a", "b"], 1)
    taken, closed = events.take(*arrays), events.close()
    assert (len(taken), len(closed)) == (0, 1)
    written = pd.concat([taken, closed], ignore_index=True).to_csv(index=False).splitlines()[1]
    assert written.startswith("1,2,,,2,3.0,")
