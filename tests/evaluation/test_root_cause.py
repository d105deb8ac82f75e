from itertools import permutations
from math import comb, log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.config import ExperimentConfig
from tsad.data.dataset import RootCause
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.evaluation.root_cause import RootCauseScores, hit_rate, root_cause_scores, top_hit
from tsad.experiment import run
from tsad.spec import parse

FEATURES = tuple("abcde")
NAN = np.nan


def flags(names):
    return np.isin(FEATURES, list(names))


def one_event(ranking, names):
    """Returns what a ranking is worth for one event of one row."""
    return root_cause_scores(np.array([ranking], float), [RootCause(0, 1, tuple(names))], FEATURES)[0]


def test_a_ranking_by_hand():
    # a b c d e: of the causes a and d, the first two and the first three hold a alone; d gains at place 4
    found = one_event([5, 4, 3, 2, 1], "ad")
    assert found == pytest.approx((1 / 2, 1 / 2, (1 + 1 / log2(5)) / (1 + 1 / log2(3)), 1))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a", (1, 1, 1, 1)),  # floor(1.5) is 1
        ("b", (0, 0, 1 / log2(3), 1)),
        ("e", (0, 0, 1 / log2(6), 0)),
        ("ac", (1 / 2, 1, (1 + 1 / 2) / (1 + 1 / log2(3)), 1)),
        ("abe", (2 / 3, 2 / 3, (1 + 1 / log2(3) + 1 / log2(6)) / (1 + 1 / log2(3) + 1 / 2), 1)),  # floor(4.5) is 4
        ("abcde", (1, 1, 1, 1)),
    ],
)
def test_causes_by_hand(names, expected):
    assert one_event([5, 4, 3, 2, 1], names) == pytest.approx(expected)


def test_an_event_ranks_features_by_the_mean_of_its_scored_rows():
    by_feature = np.array([[9, 9, 0, 0, 0], [NAN] * 5, [0, 4, 3, 0, 2.5], [0, 0, 0, 3, 2.5], [9, 0, 0, 9, 0]])
    found, _ = root_cause_scores(by_feature, [RootCause(1, 4, ("b", "e"))], FEATURES)  # means 0, 2, 1.5, 1.5, 2.5
    assert found.hit_rate_100 == 1
    assert root_cause_scores(by_feature, [RootCause(2, 4, ("b", "e"))], FEATURES)[0] == found


def test_every_event_counts_once_whatever_its_length():
    by_feature = np.tile([5.0, 4, 3, 2, 1], (9, 1))
    found, chance = root_cause_scores(by_feature, [RootCause(0, 8, ("a",)), RootCause(8, 9, ("d", "e"))], FEATURES)
    assert found.hit_rate_100 == pytest.approx((1 + 0) / 2)
    assert found.hit_rate_150 == pytest.approx((1 + 0) / 2)
    assert found.top_3 == pytest.approx((1 + 0) / 2)
    assert chance.hit_rate_150 == pytest.approx((1 / 5 + 3 / 5) / 2)


def test_an_event_without_a_scored_row_takes_no_part():
    by_feature = np.array([[NAN] * 5, [5.0, 4, 3, 2, 1]])
    causes = [RootCause(0, 1, tuple("abcde")), RootCause(1, 2, ("a",))]
    assert root_cause_scores(by_feature, causes, FEATURES) == root_cause_scores(by_feature, causes[1:], FEATURES)


def test_chance_in_closed_form():
    _, chance = root_cause_scores(np.array([[5.0, 4, 3, 2, 1]]), [RootCause(0, 1, ("b", "d"))], FEATURES)
    gain = 2 / 5 * sum(1 / log2(place + 1) for place in range(1, 6))
    assert chance == pytest.approx((2 / 5, 3 / 5, gain / (1 + 1 / log2(3)), 1 - comb(3, 3) / comb(5, 3)))


def naive(order, truth):
    """Returns the four figures of features in one order, from their definitions."""
    hits = [bool(truth[feature]) for feature in order]
    causes = sum(hits)
    ideal = sum(1 / log2(place + 2) for place in range(causes))
    return (
        sum(hits[:causes]) / causes,
        sum(hits[: int(1.5 * causes)]) / causes,
        sum(hit / log2(place + 2) for place, hit in enumerate(hits)) / ideal,
        float(any(hits[:3])),
    )


@given(
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
)
def test_features_that_tie_count_as_in_random_order(ranking, causes):
    truth = np.array(causes)
    orders = [sorted(order, key=lambda feature: -ranking[feature]) for order in permutations(range(5))]
    expected = np.mean([naive(order, truth) for order in orders], axis=0)
    names = [name for name, cause in zip(FEATURES, causes, strict=True) if cause]
    assert one_event(ranking, names) == pytest.approx(expected)


def test_a_hit_among_more_features_than_there_are_is_certain():
    assert top_hit(np.array([2.0, 1.0]), np.array([False, True]), count=3) == 1
    assert hit_rate(np.array([2.0, 1.0]), np.array([True, True]), 150) == 1


def test_figures_have_the_names_of_reports():
    assert RootCauseScores(0.1, 0.2, 0.3, 0.4).named() == {
        "root_cause/hit_rate_100": 0.1,
        "root_cause/hit_rate_150": 0.2,
        "root_cause/ndcg": 0.3,
        "root_cause/top_3": 0.4,
    }


@pytest.mark.parametrize("names", [(), ("a", "x")])
def test_a_cause_that_names_no_feature_or_a_foreign_one_is_refused(names):
    with pytest.raises(ValueError, match=r"must name at least one of two or more features, but names .*; correct"):
        root_cause_scores(np.ones((1, 5)), [RootCause(0, 1, names)], FEATURES)


def test_one_feature_has_no_ranking():
    with pytest.raises(ValueError, match="at least one of two or more features"):
        root_cause_scores(np.ones((1, 1)), [RootCause(0, 1, ("a",))], ("a",))


@pytest.mark.parametrize("causes", [[], [RootCause(0, 1, ("a",))]])
def test_events_without_any_score_are_refused(causes):
    with pytest.raises(ValueError, match=f"none of {len(causes)} has a scored row; take data with causes"):
        root_cause_scores(np.full((1, 5), NAN), causes, FEATURES)


# --- causes of the built-in series ---


@pytest.mark.parametrize("seed", [0, 1])
def test_the_causes_of_synthetic_events_are_the_sensors_that_moved(seed):
    spec = SyntheticSpec(kind="synthetic", rows=500, events=5, seed=seed)
    data, clean = spec.load(Path()), spec.model_copy(update={"events": 1}).load(Path()).test.values
    labels = np.zeros(500, bool)
    assert len(data.root_causes) == 5
    for start, stop, names in data.root_causes[1:]:  # the first event is there in both
        moved = data.test.values[start:stop] != clean[start:stop]
        assert names == tuple(np.array(data.test.features)[moved.any(axis=0)])
        assert moved[-1].any()
    for start, stop, _ in data.root_causes:
        labels[start:stop] = True
    np.testing.assert_array_equal(labels, data.test.labels)


@pytest.mark.slow
def test_l2_finds_the_published_causes_of_machine_1_2(smd_folder):
    values = {"data": {"kind": "smd", "machine": "1-2"}, "window": {"length": 1}, "model": {"kind": "l2"}}
    experiment = parse(ExperimentConfig, values, "l2")
    data = experiment.data.load(smd_folder)
    found, chance = root_cause_scores(run(experiment, data).test.by_feature, data.root_causes, data.test.features)
    assert found == pytest.approx((0.776, 0.947, 0.949, 1), abs=0.002)
    assert chance == pytest.approx((0.174, 0.258, 0.497, 0.408), abs=0.002)
