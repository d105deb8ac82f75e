import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.events import event_scores
from tsad.evaluation.ranges import best_range_f1, range_scores
from tsad.series import runs

drawn_flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
drawn_scores = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25).filter(
    lambda drawn: any(label for _, label in drawn)
)


def bools(text):
    return np.array([letter == "1" for letter in text])


def mean_reward(segments, others, existence):
    """Returns the mean over segments of what Tatbul et al. call Recall_T(R_i, P), or Precision_T of swapped sets."""
    rewards = []
    for start, stop in segments:
        overlaps = [len(set(range(start, stop)) & set(range(*other))) for other in others]
        touched = sum(overlap > 0 for overlap in overlaps)
        cardinality = 1 / touched if touched > 1 else 1
        overlap_reward = cardinality * sum(overlap / (stop - start) for overlap in overlaps)
        rewards.append(existence * (touched > 0) + (1 - existence) * overlap_reward)
    return sum(rewards) / len(rewards) if rewards else 0.0


def brute_force(flags, labels, existence=0.2):
    precision = mean_reward(runs(flags), runs(labels), 0)
    recall = mean_reward(runs(labels), runs(flags), existence)
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("0110000000", "0000011000", (0.0, 0.0, 0.0)),
        ("0000000000", "0110000000", (0.0, 0.0, 0.0)),
        # one event in two chunks: (2/4) / 2 of the overlap; each chunk lies inside
        ("0010010000", "0011110000", (1.0, 0.2 + 0.8 / 4, 4 / 7)),
        # one segment over two events: (4/6) / 2; each event is covered
        ("0111111000", "0110011000", (1 / 3, 1.0, 1 / 2)),
        ("1000000000", "1110000100", (1.0, (0.2 + 0.8 / 3) / 2, 14 / 37)),
        ("0000100001", "0011000011", (1 / 2, (0.2 + 0.8 / 2) / 2, 3 / 8)),
        ("0110110010", "0011100001", (1 / 3, (0.2 + 0.8 * 2 / 3 / 2) / 2, 14 / 51)),
        ("1101101011", "0111111110", (3 / 4, 0.2 + 0.8 * 5 / 8 / 4, 39 / 86)),
        ("0000010000", "0101010001", (1.0, 1 / 4, 2 / 5)),
    ],
)
def test_range_scores_by_hand_which_are_those_of_tsb_ad(flags, labels, expected):
    assert range_scores(bools(flags), bools(labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("1111111111", "0001100000", (1 / 5, 1.0, 1 / 3)),
        ("0000110000", "1111111111", (1.0, 0.2 + 0.8 / 5, 9 / 17)),
        ("1111111111", "1111111111", (1.0, 1.0, 1.0)),
        ("1", "1", (1.0, 1.0, 1.0)),
    ],
)
def test_a_segment_of_all_rows_counts(flags, labels, expected):
    # TSB-AD finds no segment there: an F1 of 0 for each
    assert range_scores(bools(flags), bools(labels)) == pytest.approx(expected, abs=1e-12)


@given(drawn_flags, st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_range_scores_equal_brute_force(drawn, existence):
    flags, labels = np.array([*drawn, (False, True)]).T
    assert range_scores(flags, labels, existence) == pytest.approx(brute_force(flags, labels, existence))


@given(drawn_flags)
def test_where_existence_is_all_recall_is_that_of_events(drawn):
    flags, labels = np.array([(True, True), *drawn]).T
    assert range_scores(flags, labels, existence=1).recall == pytest.approx(event_scores(flags, labels).recall)


@given(drawn_flags)
def test_time_has_no_direction(drawn):
    flags, labels = np.array([*drawn, (False, True)]).T
    assert range_scores(flags[::-1], labels[::-1]) == pytest.approx(range_scores(flags, labels))


def test_rounding_takes_nothing_above_one():
    labels = np.arange(36) % 8 < 4
    assert range_scores(labels, labels) == pytest.approx((1, 1, 1))
    assert max(range_scores(labels, labels)) <= 1


@given(drawn_scores)
def test_the_best_f1_is_the_highest_over_all_unique_scores(drawn):
    scores, labels = np.array([score for score, _ in drawn], float), np.array([label for _, label in drawn])
    expected = max(brute_force(scores >= threshold, labels)[2] for threshold in np.unique(scores))
    assert best_range_f1(scores, labels) == pytest.approx(expected)


def test_the_best_f1_sees_the_order_of_scores_alone():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=500), generator.random(500) < 0.1
    best = best_range_f1(scores, labels)
    assert 0 < best < 1
    assert best_range_f1(np.exp(20 * scores), labels) == best
    assert best_range_f1(np.where(scores == scores.max(), np.inf, scores), labels) == best


def test_ranges_of_a_real_machine_are_worth_what_tsb_ad_says(smd_folder):
    test = SmdSpec(kind="smd", machine="1-2").load(smd_folder).test
    scores = range_scores(test.values[:, 0] > np.float32(0.3), test.labels)
    assert scores == pytest.approx((0.017363545681383034, 0.45388719626096974, 0.03344754868284661), abs=1e-9)
    assert best_range_f1(test.values[:, 11].astype(float), test.labels) == pytest.approx(0.2646313040930684, abs=1e-9)


@pytest.mark.parametrize("metric", [range_scores, best_range_f1])
def test_rows_without_an_event_are_refused(metric):
    with pytest.raises(ValueError, match="need a labeled row, but none of 7 rows is labeled; report them as undefined"):
        metric(np.ones(7), np.zeros(7, bool))
