from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.affiliation import affiliation, best_affiliation_f1
from tsad.series import runs

drawn_flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)
drawn_scores = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20).filter(
    lambda drawn: any(label for _, label in drawn)
)


def bools(text):
    return np.array([letter == "1" for letter in text])


def gap(place, segment):
    return max(segment[0] - place, place - segment[1], 0)


def survival(distance, segment, zone):
    """Returns the probability that a point drawn evenly from the zone is at least as far from the segment."""
    if distance == 0:
        return 1.0
    far = max(segment[0] - distance - zone[0], 0) + max(zone[1] - segment[1] - distance, 0)
    return far / (zone[1] - zone[0])


def middles(start, stop):
    """Returns the middles of quarter rows; every integrand bends at their edges only, so their mean is the integral."""
    return np.arange(start, stop, 0.25) + 0.125


def brute_force(flags, labels):
    """Returns precision, recall and F1 point by point, from the definitions of Huet et al."""
    events = runs(labels)
    borders = [0, *((left[1] + right[0]) / 2 for left, right in pairwise(events)), len(labels)]
    precisions, recalls = [], []
    for event, zone in zip(events, pairwise(borders), strict=True):
        inside = [(max(start, zone[0]), min(stop, zone[1])) for start, stop in runs(flags)]
        inside = [(start, stop) for start, stop in inside if start < stop]
        points = np.concatenate([[], *(middles(*segment) for segment in inside)])
        if len(points):
            precisions.append(np.mean([survival(gap(point, event), event, zone) for point in points]))
        nearest = ((point, min((gap(point, segment) for segment in inside), default=None)) for point in middles(*event))
        recalls.append(
            np.mean([0 if away is None else survival(away, (point, point), zone) for point, away in nearest])
        )
    precision, recall = np.mean(precisions) if precisions else 0.0, np.mean(recalls)
    return precision, recall, 2 * precision * recall / (precision + recall) if recall else 0.0


def test_a_flag_at_the_other_end_by_hand():
    # precision: at x in [0, 1) the event [3, 4) is 3 - x away, and x of the 4 rows lie no nearer: mean 1/2 of 4
    # recall: at y in [3, 4) the flag [0, 1) is y - 1 away, and y - (y - 1) = 1 of the 4 rows lies no nearer
    assert affiliation(bools("1000"), bools("0001")) == pytest.approx((1 / 8, 1 / 4, 1 / 6))


def test_flags_everywhere_have_a_precision_of_one_half_and_more_for_a_long_event():
    for labels, share in (("0001100000", 2 / 10), ("1000000000", 1 / 10), ("0111111110", 8 / 10)):
        precision, recall, _ = affiliation(np.ones(10, bool), bools(labels))
        assert (precision, recall) == pytest.approx((1 / 2 + share**2 / 2, 1))


def test_a_zone_without_a_flag_has_no_precision_and_no_recall():
    # two zones of 5 rows; the flag covers the event of the first, and the second has none
    precision, recall, f1 = affiliation(bools("1000000000"), bools("1000000001"))
    assert (precision, recall) == (1.0, 1 / 2)
    assert f1 == 2 / 3


@pytest.mark.parametrize(
    ("flags", "labels", "expected"),
    [
        ("0110000000", "0000011000", (0.225, 0.4125, 0.2911764705882348)),
        ("1000000000", "1110000100", (1.0, 0.3666666666666667, 0.5365853658536581)),
        ("0000100001", "0011000011", (0.75, 0.7708333333333334, 0.7602739726027391)),
        ("1111111111", "0001100000", (0.52, 1.0, 0.6842105263157888)),
        ("0110110010", "0011100001", (0.6071428571428572, 0.8630952380952381, 0.7128397917871601)),
        ("0000000001", "1000000000", (0.05, 0.1, 0.06666666666666617)),
        ("0000010000", "0101010001", (1.0, 0.25, 0.39999999999999963)),
        ("1101101011", "0111111110", (0.7428571428571428, 0.9812500000000002, 0.8455722423614701)),
        ("0000110000", "1111111111", (1.0, 0.76, 0.8636363636363631)),
    ],
)
def test_affiliation_is_that_of_tsb_ad(flags, labels, expected):
    assert affiliation(bools(flags), bools(labels)) == pytest.approx(expected, abs=1e-9)


def test_without_a_flag_all_are_zero():
    assert affiliation(bools("0000"), bools("0110")) == (0.0, 0.0, 0.0)


@given(drawn_flags)
def test_affiliation_equals_brute_force(drawn):
    flags, labels = np.array([*drawn, (False, True)]).T
    assert affiliation(flags, labels) == pytest.approx(brute_force(flags, labels))


@given(drawn_flags)
def test_neither_the_direction_nor_the_unit_of_time_matters(drawn):
    flags, labels = np.array([*drawn, (False, True)]).T
    expected = pytest.approx(affiliation(flags, labels))
    assert affiliation(flags[::-1], labels[::-1]) == expected
    assert affiliation(np.repeat(flags, 3), np.repeat(labels, 3)) == expected


def test_rounding_takes_nothing_above_one():
    labels = np.arange(50) % 10 == 5
    assert max(affiliation(np.ones(50, bool), labels)) == pytest.approx(1)
    assert max(affiliation(np.ones(50, bool), labels)) <= 1


@given(drawn_scores)
def test_the_best_f1_is_the_highest_over_all_unique_scores(drawn):
    scores, labels = np.array([score for score, _ in drawn], float), np.array([label for _, label in drawn])
    expected = max(brute_force(scores >= threshold, labels)[2] for threshold in np.unique(scores))
    assert best_affiliation_f1(scores, labels) == pytest.approx(expected)


def test_the_best_f1_sees_the_order_of_scores_alone():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=500), generator.random(500) < 0.01
    best = best_affiliation_f1(scores, labels)
    assert 0 < best < 1
    assert best_affiliation_f1(np.exp(20 * scores), labels) == best
    assert best_affiliation_f1(np.where(scores == scores.max(), np.inf, scores), labels) == best


def test_affiliation_on_a_real_machine_is_that_of_tsb_ad(smd_folder):
    test = SmdSpec(kind="smd", machine="1-2").load(smd_folder).test
    scores = affiliation(test.values[:, 0] > np.float32(0.3), test.labels)
    assert scores == pytest.approx((0.6027900691972876, 0.9336415871506359, 0.7325934409106625), abs=1e-9)
    best = best_affiliation_f1(test.values[:, 11].astype(float), test.labels)
    assert best == pytest.approx(0.7796174093312066, abs=1e-9)


@pytest.mark.parametrize("metric", [affiliation, best_affiliation_f1])
def test_rows_without_an_event_are_refused(metric):
    with pytest.raises(ValueError, match="need a labeled row, but none of 7 rows is labeled; report them as undefined"):
        metric(np.ones(7), np.zeros(7, bool))
