import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.events import best_event_f1, descend, detection_delays, event_scores, false_alarms, nearest_higher
from tsad.series import runs

rows = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25).filter(
    lambda drawn: any(label for _, label in drawn)
)


def bools(text):
    return np.array([letter == "1" for letter in text])


def brute_force(flags, labels):
    """Returns precision, recall and F1 of events, row by row."""
    found, events, hits = set(), set(), 0
    for row, label in enumerate(labels):
        if label:
            start = row
            while start > 0 and labels[start - 1]:
                start -= 1
            events.add(start)
            if flags[row]:
                found.add(start)
                hits += 1
    precision, recall = hits / max(sum(flags), 1), len(found) / len(events)
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("0110000000", "0000011000", (0.0, 0.0, 0.0)),
        ("0000000000", "0110000000", (0.0, 0.0, 0.0)),
        ("1000000000", "1110000100", (1.0, 1 / 2, 2 / 3)),
        ("0110110010", "0011100001", (2 / 5, 1 / 2, 4 / 9)),
        ("1111111111", "0001100000", (1 / 5, 1.0, 1 / 3)),
        ("1101101011", "0111111110", (5 / 7, 1.0, 5 / 6)),
        ("0000010000", "0101010001", (1.0, 1 / 4, 2 / 5)),
        ("0000110000", "1111111111", (1.0, 1.0, 1.0)),
    ],
)
def test_event_scores_by_hand(flags, labels, expected):
    assert event_scores(bools(flags), bools(labels)) == pytest.approx(expected, abs=1e-12)


def test_an_event_that_ends_with_the_series_keeps_its_last_row():
    # where that row is dropped, as in TSB-AD, both have an F1 of 0
    assert event_scores(bools("0001"), bools("0001")) == (1.0, 1.0, 1.0)
    assert event_scores(bools("0000100001"), bools("0011000011")) == (1 / 2, 1 / 2, 1 / 2)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_event_scores_equal_brute_force(drawn):
    flags, labels = np.array([*drawn, (False, True)]).T
    assert event_scores(flags, labels) == pytest.approx(brute_force(flags, labels))


@given(rows)
def test_the_best_f1_is_the_highest_over_all_unique_scores(drawn):
    scores, labels = np.array([score for score, _ in drawn], float), np.array([label for _, label in drawn])
    expected = max(brute_force(scores >= threshold, labels)[2] for threshold in np.unique(scores))
    assert best_event_f1(scores, labels) == pytest.approx(expected)


def test_the_best_f1_sees_the_order_of_scores_alone():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=500), generator.random(500) < 0.1
    best = best_event_f1(scores, labels)
    assert 0 < best < 1
    assert (
        best_event_f1(np.exp(20 * scores), labels) == best
    )  # a tail in which a linear grid has one threshold for most rows
    assert best_event_f1(np.where(scores == scores.max(), np.inf, scores), labels) == best


def test_events_of_a_real_machine_are_worth_what_tsb_ad_says(smd_folder):
    test = SmdSpec(kind="smd", machine="1-2").load(smd_folder).test
    scores = event_scores(test.values[:, 0] > np.float32(0.3), test.labels)
    assert scores.f1 == pytest.approx(0.09984242042231317, abs=1e-9)
    assert scores == pytest.approx((176 / 3330, 9 / 10, scores.f1))
    assert best_event_f1(test.values[:, 11].astype(float), test.labels) == pytest.approx(0.5981873111782473, abs=1e-9)


@pytest.mark.parametrize("metric", [event_scores, best_event_f1])
def test_rows_without_an_event_are_refused(metric):
    with pytest.raises(ValueError, match="need a labeled row, but none of 7 rows is labeled; report them as undefined"):
        metric(np.ones(7), np.zeros(7, bool))


@pytest.mark.parametrize(
    ("flags", "labels", "delays"),
    [
        ("0011011001", "0111011101", [1, 0, 0]),
        ("1100001000", "0011101110", [0]),  # the first event is missed, and the flags before it are not its own
        ("0000000001", "1111100111", [2]),
        ("0000000000", "1111100111", []),
        ("1111111111", "0000000000", []),
    ],
)
def test_delays_of_found_events_by_hand(flags, labels, delays):
    found = detection_delays(bools(flags), bools(labels))
    assert found.dtype == np.int64
    assert found.tolist() == delays


@pytest.mark.parametrize(
    ("flags", "labels", "alarms"),
    [
        ("1010100101", "0000000000", 5),
        ("1101100111", "0011000001", 1),
        ("0110011000", "0001100000", 2),  # beside an event is not in it
        ("1111111111", "0000010000", 0),
        ("0000000000", "0000010000", 0),
    ],
)
def test_false_alarms_by_hand(flags, labels, alarms):
    assert false_alarms(bools(flags), bools(labels)) == alarms


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_labels_below_every_flag_leave_no_false_alarm_and_labels_elsewhere_leave_all(drawn):
    flags, labels = np.array(drawn).T
    assert false_alarms(flags, flags | labels) == 0
    assert false_alarms(flags, labels & ~flags) == len(runs(flags))


def test_a_descent_goes_down_through_equals_row_by_row():
    order, rank, ends = descend(np.array([1.0, np.inf, -np.inf, 1.0, np.inf]))
    assert order.tolist() == [1, 4, 0, 3, 2]
    assert rank.tolist() == [2, 0, 4, 3, 1]
    assert ends.tolist() == [1, 3, 4]


@given(st.integers(1, 40).flatmap(lambda count: st.permutations(range(count))))
def test_nearest_higher_rows_equal_brute_force(values):
    before, after = nearest_higher(np.array(values))
    for row, value in enumerate(values):
        higher = [other for other, height in enumerate(values) if height > value]
        assert before[row] == max((other for other in higher if other < row), default=-1)
        assert after[row] == min((other for other in higher if other > row), default=len(values))
