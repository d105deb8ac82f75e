"""The Gaussian process: by hand where one trial is known, and by what it is for."""

import numpy as np
import pytest

from tests.tuning.algorithms.playground import SPACE, candidates, drive, worth
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.algorithms.surrogate import Surrogate, _distances, _factor
from tsad.tuning.space import Space

TINY = Space(
    {
        "model": {"choice": [{"kind": "l2"}, {"kind": "pca_error", "components": {"range": [1, 5]}}]},
        "rate": {"range": [0.01, 1.0], "log": True},
        "length": {"choice": [32, 8, 16]},
    }
)
KNOWN = {"model": 0, "rate": 0.01, "length": 1}


def expected(distance):
    """Returns the promise at a distance from the one known trial, whose goal is 0: (deviation) / sqrt(2 pi).

    The noise is 0.1 and the signal's variance (0 + 1) / (1 + 1).
    """
    return np.sqrt(0.5 * (1 - np.exp(-2 * distance) / 1.1) / (2 * np.pi))


@pytest.mark.parametrize(
    ("changed", "distance"),
    [
        ({}, 0),
        ({"rate": 0.1}, 0.5),
        ({"rate": 1.0}, 1),
        ({"length": 2}, 0.5),  # 16 lies between 8 and 32, wherever it stands
        ({"length": 0}, 1),
        ({"model": 1, "model:pca_error.components": 3}, 1 + 1),
        ({"model": 1, "model:pca_error.components": 5}, 1 + 1.5),
        ({"model": 1, "model:pca_error.components": 1, "rate": 0.1}, 1 + 1.5 + 0.5),
    ],
)
def test_the_expected_improvement_grows_with_the_distance_from_one_trial(changed, distance):
    surrogate = Surrogate(TINY)
    surrogate.fit([KNOWN], np.array([0.7]))
    assert surrogate.expected_improvement([KNOWN | changed]) == pytest.approx([expected(distance)])


def test_the_expected_improvement_of_a_tried_candidate_and_of_a_step_away():
    surrogate = Surrogate(TINY)
    surrogate.fit([KNOWN], np.array([0.7]))
    assert surrogate.expected_improvement([KNOWN, KNOWN | {"rate": 1.0}]) == pytest.approx(
        [0.085055, 0.264172], abs=1e-6
    )


def test_a_pending_candidate_has_less_expected_improvement_until_the_next_fit():
    surrogate, there = Surrogate(TINY), KNOWN | {"rate": 1.0}
    surrogate.fit([KNOWN], np.array([0.7]))
    before = surrogate.expected_improvement([there])
    surrogate.add_pending(there)
    assert surrogate.expected_improvement([there]) < before / 2
    surrogate.fit([KNOWN], np.array([0.7]))
    assert surrogate.expected_improvement([there]) == pytest.approx(before)


def test_expected_improvement_does_not_depend_on_unit_and_origin_of_the_values():
    params = [candidate.params for candidate in candidates(drive(RandomSpec(kind="random").build(SPACE, 0), 30))]
    values = np.random.default_rng(0).normal(size=20)
    one, other = Surrogate(SPACE), Surrogate(SPACE)
    one.fit(params[:20], values)
    other.fit(params[:20], 1e4 * values - 7)
    assert one.expected_improvement(params[20:]) == pytest.approx(other.expected_improvement(params[20:]))


def test_it_ranks_candidates_that_it_was_not_fitted_to():
    seen = candidates(drive(RandomSpec(kind="random").build(SPACE, 1), 160))
    surrogate = Surrogate(SPACE)
    for count in (20, 40, 60, 80):  # each fit goes on where the one before ended
        surrogate.fit([each.params for each in seen[:count]], np.array([worth(each) for each in seen[:count]]))
    promises = surrogate.expected_improvement([each.params for each in seen[80:]])
    values = np.array([worth(each) for each in seen[80:]])
    assert values[np.argsort(-promises)[:8]].mean() > np.sort(values)[-16:].mean()


@pytest.mark.slow
def test_a_function_without_noise_can_be_learned_for_ever():
    surrogate = Surrogate(SPACE)
    params = [each.params for each in candidates(drive(RandomSpec(kind="random").build(SPACE, 0), 150))]
    values = np.array([float(each["model"] == 1) for each in params])
    for _ in range(40):
        surrogate.fit(params, values)
    ratio = surrogate._scales / surrogate._start  # weights and noise would become ever smaller, the kernel singular
    assert ((ratio >= 1e-3) & (ratio <= 1e3)).all()
    assert ratio.min() < 2e-3  # and are held at the bound
    assert np.isfinite(surrogate.expected_improvement(params)).all()


def test_a_pending_candidate_is_an_observation_of_its_prediction():
    seen = candidates(drive(RandomSpec(kind="random").build(SPACE, 2), 25))
    params = [each.params for each in seen]
    surrogate = Surrogate(SPACE)
    surrogate.fit(params[:20], np.array([worth(each) for each in seen[:20]]))
    for each in params[20:]:
        surrogate.add_pending(each)
    columns = surrogate._encoded(params)
    exact = _factor(_distances(columns, columns), surrogate._scales)
    assert surrogate._factor == pytest.approx(exact)
    assert exact @ surrogate._white == pytest.approx(surrogate._targets)


def test_equal_values_and_repeated_params_are_no_trouble():
    surrogate = Surrogate(TINY)
    surrogate.fit([KNOWN] * 5, np.ones(5))
    assert np.isfinite(surrogate.expected_improvement([KNOWN, KNOWN | {"rate": 0.5}])).all()
