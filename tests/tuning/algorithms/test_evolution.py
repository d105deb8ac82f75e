"""Evolution by generations: who breeds, what is inherited, what the surrogate adds."""

import itertools
from collections import Counter

import numpy as np
import pytest

from tests.tuning.algorithms.playground import SPACE, candidates, drive, finished, worth
from tsad.selection.trial import Trial
from tsad.spec import parse
from tsad.tuning.algorithms.evolution import EvolutionSpec, scalarized
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.space import Space


def generations(trials):
    """Returns the trials of each generation by its number."""
    return {
        number: list(group)
        for number, group in itertools.groupby(
            sorted(trials, key=lambda trial: trial.candidate.number), key=lambda trial: trial.candidate.generation
        )
    }


def descending(candidate):
    """Returns a finished trial that is worth less than all before it."""
    return Trial(candidate, "finished", -float(candidate.number), seconds=1.0, epochs=1)


def test_a_generation_waits_for_the_last_of_the_one_before():
    algorithm = EvolutionSpec(population=4).build(SPACE, seed=0)
    first = [algorithm.suggest() for _ in range(4)]
    for candidate in first:
        assert algorithm.suggest() is None
        algorithm.update(finished(candidate))
    second = [algorithm.suggest() for _ in range(4)]
    assert algorithm.suggest() is None
    assert [candidate.generation for candidate in first + second] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_where_seconds_are_to_be_saved_nobody_waits_and_the_late_breed_with_the_next():
    algorithm = EvolutionSpec(population=4, budget="seconds", random_fraction=0).build(SPACE, seed=0)
    late, *first = [algorithm.suggest() for _ in range(4)]
    for candidate in first:
        algorithm.update(descending(candidate))
    second = [algorithm.suggest() for _ in range(4)]
    assert {parent for candidate in second for parent in candidate.parents} <= {1, 2, 3}
    algorithm.update(finished(late))  # worth more than all others
    for candidate in second:
        algorithm.update(descending(candidate))
    third = [algorithm.suggest() for _ in range(4)]
    assert [candidate.generation for candidate in second + third] == [1] * 4 + [2] * 4
    assert any(late.number in candidate.parents for candidate in third)


def test_with_a_budget_of_seconds_slow_candidates_need_a_larger_expected_improvement():
    def end(candidate):
        slow = candidate.experiment.scoring.error == "squared"
        return Trial(candidate, "finished", worth(candidate), seconds=100.0 if slow else 1.0)

    def slow(budget):
        trials = drive(EvolutionSpec(budget=budget, random_fraction=0.3).build(SPACE, 0), 40, end)[8:]
        return sum(trial.seconds for trial in trials)

    assert slow("seconds") < 0.5 * slow("trials")


@pytest.mark.slow
def test_proposals_do_not_depend_on_which_of_the_running_ends_first():
    spec = EvolutionSpec(population=6)
    one, other = (
        [candidate.params for candidate in candidates(drive(spec.build(SPACE, 0), 30, parallel=parallel))]
        for parallel in (1, 6)
    )
    assert one == other


def test_the_first_generation_has_no_parents_and_later_ones_have_one_or_two():
    trials = drive(EvolutionSpec(population=5, crossover=0.5, random_fraction=0).build(SPACE, 0), 50)
    counts = {0: set(), 1: set()}
    for trial in trials:
        counts[min(trial.candidate.generation, 1)].add(len(trial.candidate.parents))
    assert counts == {0: {0}, 1: {1, 2}}


@pytest.mark.parametrize("seed", range(10))
def test_the_first_generation_has_every_option_of_the_top_level_choices_equally_often(seed):
    first = [trial.candidate.experiment_values for trial in drive(EvolutionSpec(population=6).build(SPACE, seed), 6)]
    assert set(Counter(values["model"]["kind"] for values in first).values()) == {2}
    assert set(Counter(values["scoring"]["over"] for values in first).values()) == {2}
    assert set(Counter(values["scoring"]["error"] for values in first).values()) == {3}
    assert len({values["window"]["length"] for values in first}) == 4


@pytest.mark.parametrize("budget", ["trials", "seconds"])
@pytest.mark.parametrize("seed", range(5))
def test_the_first_generation_has_every_option_that_is_no_number_however_small_the_population(budget, seed):
    trials = drive(EvolutionSpec(population=2, elites=2, budget=budget, random_fraction=0).build(SPACE, seed), 7)
    assert [trial.candidate.generation for trial in trials] == [0, 0, 0, 1, 1, 2, 2]
    assert {trial.candidate.experiment.model.kind for trial in trials[:3]} == {
        "lstm_ae",
        "tcn_ae",
        "window_linear",
    }
    assert {trial.candidate.experiment.scoring.over for trial in trials[:3]} == {"last", "window", "mean"}


def test_the_first_generation_may_have_any_option_also_if_it_cannot_have_all():
    space = Space(
        {"data": {"kind": "synthetic"}, "window": {"length": {"choice": [8, 9, 10, 11, 12]}}, "model": {"kind": "l2"}}
    )
    lengths = Counter(
        trial.candidate.experiment.window.length
        for seed in range(60)
        for trial in drive(EvolutionSpec(population=2, elites=2).build(space, seed), 2)
    )
    assert set(lengths) == {8, 9, 10, 11, 12}
    assert min(lengths.values()) >= 10  # of 120, 24 each expected


def test_elites_stay_parents_however_poor_the_generations_after_them():
    algorithm = EvolutionSpec(population=4, elites=1, tournament=1).build(SPACE, seed=0)
    found = generations(drive(algorithm, 32, descending))
    for number in range(2, 8):
        parents = {parent for trial in found[number] for parent in trial.candidate.parents}
        before = {trial.candidate.number for trial in found[number - 1]}
        assert parents <= {0} | before
    assert any(0 in trial.candidate.parents for number in range(5, 8) for trial in found[number])


def test_elites_are_not_trained_again():
    trials = drive(EvolutionSpec(population=4, elites=4).build(SPACE, seed=0), 32, descending)
    assert [len(group) for group in generations(trials).values()] == [4] * 8
    assert {parent for trial in trials for parent in trial.candidate.parents} <= {0, 1, 2, 3}


def test_the_better_of_a_tournament_breeds():
    trials = drive(
        EvolutionSpec(population=8, elites=1, tournament=64, crossover=0, random_fraction=0).build(SPACE, seed=0), 16
    )
    best = min(trials[:8], key=lambda trial: trial.rank)
    assert {trial.candidate.parents for trial in trials[8:]} == {(best.candidate.number,)}


def test_a_child_has_its_parents_params_but_for_one_mutation():
    flat = Space(
        {
            "data": {"kind": "synthetic"},
            "model": {
                "kind": "lstm_ae",
                "hidden": {"choice": list(range(1, 30))},
                "latent": {"choice": list(range(1, 30))},
            },
            "window": {"length": {"choice": list(range(2, 40))}, "stride": {"choice": list(range(1, 30))}},
        }
    )
    trials = drive(
        EvolutionSpec(population=10, crossover=0.5, mutation=1e-9, random_fraction=0).build(flat, seed=0), 60
    )
    params = {trial.candidate.number: trial.candidate.params for trial in trials}
    for trial in trials[10:]:
        inherited = [
            any(params[parent][address] == value for parent in trial.candidate.parents)
            for address, value in trial.candidate.params.items()
        ]
        assert inherited.count(False) <= 1


@pytest.mark.slow
def test_children_of_two_parents_mix_them():
    trials = drive(EvolutionSpec(population=10, crossover=1, mutation=1e-9, random_fraction=0).build(SPACE, seed=0), 60)
    assert all(len(trial.candidate.parents) == 2 for trial in trials[10:])


@pytest.mark.slow
def test_the_surrogate_finds_better_candidates_than_breeding_alone_and_that_better_than_random():
    specs = (EvolutionSpec(), EvolutionSpec(surrogate="none"), RandomSpec(kind="random"))
    guided, plain, drawn = (
        np.array([max(trial.value for trial in drive(spec.build(SPACE, seed), 32)) for seed in range(10)])
        for spec in specs
    )
    assert guided.mean() > plain.mean() + 0.1
    assert plain.mean() > drawn.mean() + 0.1
    assert (guided > drawn).sum() >= 9


def test_random_candidates_have_no_parents():
    trials = drive(EvolutionSpec(population=5, random_fraction=0.5, surrogate="none").build(SPACE, 0), 105)
    without = sum(trial.candidate.parents == () for trial in trials[5:])
    assert 35 <= without <= 65


@pytest.mark.slow
@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_the_surrogate_leads_away_from_what_does_not_finish(state):
    def end(candidate):
        if candidate.experiment.scoring.error == "squared":
            return Trial(candidate, state, None, seconds=1.0)
        return Trial(candidate, "finished", candidate.number % 7, seconds=1.0)

    def share(spec):
        tried = [drive(spec.build(SPACE, seed), 40, end)[20:] for seed in range(4)]
        return np.mean([each.state == state for trials in tried for each in trials])

    assert share(EvolutionSpec(random_fraction=0.5)) < share(EvolutionSpec(random_fraction=0.5, surrogate="none")) - 0.1


@pytest.mark.slow
def test_with_costs_the_search_covers_the_front():
    def end(candidate):
        length = candidate.experiment.window.length
        return Trial(candidate, "finished", worth(candidate) + length / 16, 1.0, metrics={"cost": float(length)})

    def lengths(minimize):
        trials = drive(EvolutionSpec().build(SPACE, 0, minimize), 48, end)
        return Counter(trial.candidate.experiment.window.length for trial in trials[16:])

    assert lengths([])[64] > 24 > lengths(["cost"])[64]
    assert min(lengths(["cost"])[length] for length in (8, 16, 32, 64)) >= 2


def test_one_objective_is_learned_as_it_is_and_two_are_mixed_by_rank():
    generator = np.random.default_rng(0)
    assert scalarized(np.array([[3.0], [1.0]]), generator).tolist() == [3.0, 1.0]
    points = np.array([[1.0, 9], [2, 8], [900, 7], [1, 1]])
    found = np.array([scalarized(points, generator) for _ in range(200)])
    assert set(found.argmax(axis=1)) == {0, 1, 2}  # each point of the front is best for some weights, no other ever is
    weights = np.random.default_rng(5).dirichlet(np.ones(2))
    # ranks over count: [1.5, 4], [3, 3], [4, 2], [1.5, 1] of 4; less 1, the worse one plus 0.05 of the sum
    short = weights * np.array([[-0.625, 0], [-0.25, -0.25], [0, -0.5], [-0.625, -0.75]])
    expected = short.min(axis=1) + 0.05 * short.sum(axis=1)
    assert scalarized(points, np.random.default_rng(5)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"elites": 7}, "elites must not exceed population, but got elites=7 and population=4"),
        ({"population": 1}, "population: input should be greater than or equal to 2"),
        ({"mutation": 0}, "mutation: input should be greater than 0"),
        ({"crossover": 1.5}, "crossover: input should be less than or equal to 1"),
    ],
)
def test_impossible_breeding_is_refused(values, message):
    with pytest.raises(Exception, match=message):
        parse(EvolutionSpec, {"kind": "evolution"} | values, "algorithm")
