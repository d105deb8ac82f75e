from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tests.tuning.trials import SPACE, drawn, trial
from tsad.spec import parse
from tsad.tuning.analysis import (
    MIN_TRIALS,
    best_of,
    correlations,
    drawn_at_random,
    importance,
    incumbents,
    rank_correlation,
    valued,
)
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchSpec


def numbers(trials):
    return [each.candidate.number for each in trials]


def searched_by(algorithm):
    return parse(SearchSpec, {"algorithm": {"kind": algorithm}}, "search")


# --- trials ---


def test_incumbents_are_better_than_all_that_ended_before_them():
    trials = [
        trial(0, 0.9, elapsed=9.0),
        trial(1, 0.5, elapsed=2.0),
        trial(2, 0.5, elapsed=3.0),
        trial(3, 0.4, elapsed=1.0),
        trial(4, 0.99, state="stopped", elapsed=4.0),
        trial(5, 0.7, elapsed=5.0),
    ]
    assert numbers(incumbents(trials)) == [3, 1, 5, 0]


def test_a_value_that_is_no_number_is_none():
    trials = [trial(0, float("nan")), trial(1, float("inf")), trial(2), trial(3, 0.1), trial(4, 0.2, state="stopped")]
    assert numbers(valued(trials)) == numbers(incumbents(trials)) == [3]


def test_random_candidates_have_no_parents_and_belong_to_no_later_generation():
    trials = [trial(0, 0.1), trial(1, 0.2, generation=1), trial(2, 0.3, parents=(0,)), trial(3, state="failed")]
    assert numbers(drawn_at_random(trials, searched_by("evolution"))) == [0, 3]
    assert drawn_at_random(trials, searched_by("grid")) == []


# --- random at equal cost ---


def test_the_expected_best_of_two_of_three_by_hand():
    best = best_of([3.0, 1.0, 2.0], 2)  # the pairs: 3, 3, 2
    assert best.value == pytest.approx(8 / 3)
    assert (best.low, best.high) == (2, 3)


@given(st.lists(st.none() | st.floats(-5, 5), min_size=1, max_size=7), st.data())
def test_the_expected_best_is_the_mean_over_all_draws(values, data):
    size = data.draw(st.integers(1, len(values)))
    known = [[value for value in draw if value is not None] for draw in combinations(values, size)]
    if any(value is not None for value in values):
        assert best_of(values, size).value == pytest.approx(np.mean([max(draw) for draw in known if draw]))


def test_the_interval_of_the_best_leaves_a_fortieth_on_each_side():
    best = best_of([float(value) for value in range(1, 1000)], 1)
    assert (best.low, best.high) == (25, 975)


def test_all_together_the_best_is_the_best():
    assert best_of([0.5, None, 0.75], 3) == pytest.approx((0.75, 0.75, 0.75))


@pytest.mark.parametrize(("values", "size"), [([], 1), ([None], 1), ([0.5], 2), ([0.5], 0)])
def test_a_draw_of_nothing_has_no_best(values, size):
    with pytest.raises(ValueError, match=rf"needs a value and 1 to all .* got size={size}, {len(values)} trials"):
        best_of(values, size)


# --- what goes with the value ---


def test_rank_correlation_is_spearmans():
    first, second = np.random.default_rng(0).integers(0, 6, size=(2, 30)).astype(float)
    found = rank_correlation(first, second + first)
    assert found.value == pytest.approx(spearmanr(first, second + first).statistic)
    assert -1 <= found.low < found.value < found.high <= 1


def test_the_interval_of_a_correlation_covers_the_truth_95_times_of_100():
    generator = np.random.default_rng(1)
    found = [rank_correlation(*generator.normal(size=(2, 25))) for _ in range(60)]
    assert 54 <= sum(each.low <= 0 <= each.high for each in found) <= 59


def test_what_cannot_be_ranked_has_no_correlation():
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3, 4], [5, 5, 5, 5]) is None


def test_correlations_are_of_finished_trials_that_have_both():
    trials = [
        trial(n, n / 10, metrics={"ranking/vus_pr": n**2.0, "objective/validation_error": -float(n)}) for n in range(6)
    ]
    trials += [trial(6, 0.9), trial(7, -1.0, state="stopped", metrics={"ranking/vus_pr": 99.0})]
    found = correlations(trials)
    assert {name: (each.value, count) for name, (each, count) in found.items()} == {
        "ranking/vus_pr": (pytest.approx(1), 6),
        "objective/validation_error": (pytest.approx(-1), 6),
    }


def test_every_objective_has_its_own_correlations():
    metrics = [
        {"ranking/vus_pr": float(n), "objective/validation_error": -float(n), "objective/labeled": float(n % 2)}
        for n in range(6)
    ]
    trials = [trial(n, 0.1 * (n == 5), metrics=each) for n, each in enumerate(metrics)]
    found = correlations(trials, "objective/validation_error")
    assert found["ranking/vus_pr"][0].value == pytest.approx(-1)
    assert "objective/validation_error" not in found
    assert correlations(trials, "objective/labeled")["ranking/vus_pr"][0].value == pytest.approx(0.293, abs=1e-3)
    assert correlations(trials, "objective/label_free") == {}


# --- importance ---


def test_the_param_that_decides_is_nearly_all_and_noise_is_nothing():
    found = importance(drawn(80), SPACE)
    assert list(found) == [address for address in SPACE.params if address in found]
    assert found["window.length"].value > 0.85
    assert 0.005 < found["model"].value < 0.1
    for noise in ("scoring.smooth", "training.learning_rate"):
        assert found[noise].low <= 0 <= found[noise].high < 0.03


def test_two_equal_params_share_what_they_decide_together():
    space = Space({name: {"range": [0.0, 1.0]} for name in ("a", "b", "c")})
    params = np.random.default_rng(0).random((150, 3))
    trials = [trial(n, row[0] + row[1], params=dict(zip("abc", row, strict=True))) for n, row in enumerate(params)]
    found = importance(trials, space)
    assert found["a"].value == pytest.approx(0.5, abs=0.1)
    assert found["b"].value == pytest.approx(0.5, abs=0.1)
    assert found["c"].value == pytest.approx(0, abs=0.02)


def test_a_param_is_not_important_for_being_there():
    space = Space({"model": {"choice": [{"kind": "a", "size": {"choice": [1, 2]}}, {"kind": "b"}]}})
    generator = np.random.default_rng(0)
    trials = []
    for number in range(60):
        _, params = space.resolve({}, generator)
        trials.append(trial(number, params["model"] + 0.01 * generator.random(), params=params))
    found = importance(trials, space)
    assert found["model"].value > 0.2
    assert found["model:a.size"].value == pytest.approx(0, abs=0.01)


def test_one_diverged_training_changes_little():
    trials = drawn(60)
    worst = min(trials, key=lambda each: each.value)
    others = [each for each in trials if each is not worst]
    ruined = [*others, trial(99, -1e6, params=dict(worst.candidate.params))]
    assert importance(ruined, SPACE)["window.length"].value > 0.8


@pytest.mark.slow
def test_importance_is_the_same_twice():
    assert importance(drawn(12), SPACE) == importance(drawn(12), SPACE)


def test_few_trials_or_equal_ones_tell_nothing_of_params():
    assert importance(drawn(MIN_TRIALS - 1), SPACE) == {}
    assert importance([trial(n, 0.5, params={"window.length": n % 3}) for n in range(20)], SPACE) == {}
    assert importance([trial(n, n / 20, params={"window.length": 1}) for n in range(20)], SPACE) == {}
