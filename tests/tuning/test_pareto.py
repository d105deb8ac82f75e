"""Fronts and crowding by hand, and against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.tuning.trials import experiment_of
from tsad.selection.trial import Candidate, Trial
from tsad.tuning.pareto import best_first, crowding, front, fronts

coarse_points = arrays(float, st.tuples(st.integers(0, 9), st.integers(1, 3)), elements=st.integers(0, 3).map(float))


def trial(number, value, cost=1.0, state="finished"):
    candidate = Candidate(number, 0, {}, experiment_of("l2"))
    return Trial(candidate, state, value, seconds=1.0, metrics={"cost/parameters": cost})


def numbers(trials):
    return [each.candidate.number for each in trials]


def test_fronts_of_five_points():
    points = np.array([[1.0, 5], [4, 4], [3, 3], [4, 1], [0, 0]])
    assert [places.tolist() for places in fronts(points)] == [[0, 1], [2, 3], [4]]


def test_equal_points_share_a_front():
    assert [places.tolist() for places in fronts(np.array([[1.0, 1], [2, 2], [2, 2]]))] == [[1, 2], [0]]


def test_no_points_have_no_fronts():
    assert fronts(np.empty((0, 2))) == []
    assert crowding(np.empty((0, 2))).tolist() == []


@given(coarse_points)
def test_a_point_is_in_the_front_after_that_of_the_best_point_that_dominates_it(points):
    level = {int(place): number for number, places in enumerate(fronts(points)) for place in places}
    assert sorted(level) == [*range(len(points))]
    for place, point in enumerate(points):
        above = [
            level[other]
            for other, other_point in enumerate(points)
            if (other_point >= point).all() and (other_point > point).any()
        ]
        assert level[place] == max(above, default=-1) + 1


def test_crowding_of_four_points():
    # of the inner ones: (4 - 0) / 10 + (10 - 3) / 10 and (10 - 1) / 10 + (8 - 0) / 10
    points = np.array([[1.0, 8], [0, 10], [10, 0], [4, 3]])
    assert crowding(points).tolist() == pytest.approx([1.1, np.inf, np.inf, 1.7])


def test_an_objective_without_spread_adds_nothing_to_crowding():
    points = np.array([[0.0, 5], [1, 5], [4, 5]])
    assert crowding(points).tolist() == [np.inf, 1.0, np.inf]
    assert crowding(points[:, 1:]).tolist() == [0.0, 0.0, 0.0]


def test_the_front_of_trials_is_that_of_large_values_and_small_costs():
    trials = [trial(0, 0.5, 10), trial(1, 0.9, 50), trial(2, 0.8, 60), trial(3, 0.5, 20), trial(4, 0.6, 20)]
    assert numbers(front(trials, ["cost/parameters"])) == [1, 4, 0]


def test_only_finished_trials_with_a_number_are_in_the_front():
    trials = [
        trial(0, 0.1),
        trial(1, 9.0, state="stopped"),
        trial(2, None, state="failed"),
        trial(3, float("nan")),
        trial(4, None),
    ]
    assert numbers(front(trials, ["cost/parameters"])) == [0]
    assert front(trials[1:], ["cost/parameters"]) == []


def test_without_costs_the_front_is_the_best_value():
    assert numbers(front([trial(0, 0.1), trial(1, 0.7), trial(2, 0.7), trial(3, 0.2)], [])) == [1, 2]


def test_best_first_is_by_front_then_lonelier_then_larger():
    # front 0: numbers 0 to 3, of which 0 and 3 are its ends, 2 has (3 - 1) / 3 + (70 - 20) / 90 and 1 has less
    trials = [trial(0, 4.0, 100), trial(1, 3.0, 80), trial(2, 2.0, 30), trial(3, 1.0, 10), trial(4, 3.9, 100)]
    assert numbers(best_first(trials, ["cost/parameters"])) == [0, 3, 1, 2, 4]
    assert numbers(best_first(trials, [])) == [0, 4, 1, 2, 3]


@pytest.mark.parametrize(("metric", "shown"), [("cost/latency", "None"), ("cost/parameters", "nan")])
def test_a_cost_that_a_finished_trial_lacks_is_refused(metric, shown):
    message = f"every finished trial has, but g00-l2-007 has {metric}={shown}; choose of cost/parameters"
    with pytest.raises(ValueError, match=message):
        front([trial(7, 0.5, cost=float("nan"))], [metric])
