"""What every search algorithm keeps."""

import contextlib
from collections import Counter

import pytest

from tests.examples import from_defaults, members
from tests.tuning.algorithms.playground import (
    SMALL,
    SMALL_SIZE,
    SPACE,
    candidates,
    drive,
    finished,
    mixed,
    proposals,
)
from tsad.config import ExperimentConfig
from tsad.selection.trial import Trial
from tsad.spec import parse
from tsad.tuning.algorithms import AlgorithmSpec
from tsad.tuning.algorithms.contract import CandidateFactory, SpaceExhaustedError, check_space
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.grid import GridSpec
from tsad.tuning.algorithms.optuna import OptunaSpec
from tsad.tuning.space import Space

ALGORITHMS = {spec.kind: spec for spec in map(from_defaults, members(AlgorithmSpec))} | {
    "optuna nsga2": OptunaSpec(kind="optuna", sampler="nsga2"),
    "evolution without surrogate": EvolutionSpec(surrogate="none"),
    "evolution with a budget of seconds": EvolutionSpec(budget="seconds"),
}
COSTS = {"no cost": (), "two costs": ("cost/parameters", "cost/latency")}
every_algorithm = pytest.mark.parametrize("spec", ALGORITHMS.values(), ids=ALGORITHMS)
with_and_without_costs = pytest.mark.parametrize("minimize", COSTS.values(), ids=COSTS)


@every_algorithm
@pytest.mark.parametrize("parallel", [4])
def test_no_configuration_is_proposed_twice(spec, parallel):
    trials = drive(spec.build(SMALL, seed=0), SMALL_SIZE - 4, parallel=parallel)
    assert len({trial.candidate.config_fingerprint for trial in trials}) == SMALL_SIZE - 4


@every_algorithm
def test_a_param_without_effect_makes_no_second_candidate(spec):
    model = {"kind": "lstm_ae", "layers": {"choice": [1, 2]}, "dropout": {"choice": [0.0, 0.1, 0.2]}}
    algorithm = spec.build(Space({"data": {"kind": "synthetic"}, "model": model}), seed=0)
    models = [trial.candidate.experiment_values["model"] for trial in drive(algorithm, 4)]
    assert sorted((model["layers"], model["dropout"]) for model in models) == [(1, 0.0), (2, 0.0), (2, 0.1), (2, 0.2)]
    with pytest.raises(SpaceExhaustedError):
        _next(algorithm)


@every_algorithm
def test_what_is_no_valid_experiment_is_passed_over(spec):
    model = {"kind": "transformer_ae", "width": {"choice": [8, 9, 16]}, "heads": {"choice": [1, 2]}}
    algorithm = spec.build(Space({"data": {"kind": "synthetic"}, "model": model}), seed=0)
    models = [trial.candidate.experiment_values["model"] for trial in drive(algorithm, 5)]
    sizes = sorted((model["width"], model["heads"]) for model in models)
    assert sizes == [(8, 1), (8, 2), (9, 1), (16, 1), (16, 2)]  # two heads cannot share a width of 9
    with pytest.raises(SpaceExhaustedError):
        _next(algorithm)


@every_algorithm
@with_and_without_costs
def test_a_journal_of_calls_brings_a_fresh_algorithm_to_where_the_old_one_was(spec, minimize):
    algorithm, journal = spec.build(SPACE, 3, minimize), []
    while len(journal) < 36:
        running = [candidate for _ in range(3) if (candidate := algorithm.suggest()) is not None]
        journal += [*running, *(mixed(candidate) for candidate in reversed(running))]
        for trial in journal[-len(running) :]:
            algorithm.update(trial)
    again = spec.build(SPACE, 3, minimize)
    replayed = [again.update(entry) or entry if isinstance(entry, Trial) else _next(again) for entry in journal]
    assert replayed == journal


def test_a_grid_goes_on_however_many_in_a_row_are_known():
    model = {"kind": "lstm_ae", "layers": {"choice": [1, 2]}, "dropout": {"choice": [0.0, 0.1]}}
    sizes = {"hidden": {"choice": [*range(1, 17)]}, "latent": {"choice": [*range(1, 17)]}}
    algorithm = GridSpec(kind="grid").build(Space({"data": {"kind": "synthetic"}, "model": model | sizes}), seed=0)
    assert len(drive(algorithm, 3 * 256)) == 3 * 256  # of 4 x 256; 256 are the same without dropout
    with pytest.raises(SpaceExhaustedError):
        algorithm.suggest()


def _next(algorithm):
    """Returns the next candidate; one that waits is asked again, as the search asks it."""
    return next(candidate for _ in range(9) if (candidate := algorithm.suggest()) is not None)


@pytest.mark.slow
@every_algorithm
def test_another_seed_gives_other_proposals(spec):
    if spec.kind == "grid":
        pytest.skip("a grid has one order, whatever the seed")
    assert proposals(spec, 3) != proposals(spec, 4)


@every_algorithm
def test_candidates_are_numbered_in_the_order_of_proposal_and_generations_ascend(spec):
    algorithm, generation = spec.build(SPACE, seed=1), 0
    for number in range(30):
        candidate = algorithm.suggest()
        assert candidate.number == number
        assert candidate.generation >= generation
        generation = candidate.generation
        algorithm.update(finished(candidate))


@every_algorithm
def test_a_candidate_is_what_its_params_resolve_to(spec):
    for candidate in candidates(drive(spec.build(SPACE, seed=2), 40, mixed)):
        values, active = SPACE.resolve(candidate.params)
        assert active == candidate.params
        assert parse(ExperimentConfig, values, "candidate") == candidate.experiment


@pytest.mark.slow
@every_algorithm
@pytest.mark.parametrize("seed", [1])
def test_neither_failed_nor_stopped_trials_breed(spec, seed):
    trials = drive(spec.build(SPACE, seed), 60, mixed, parallel=3)
    states = {trial.candidate.number: trial.state for trial in trials}
    assert min(Counter(states.values())[state] for state in ("finished", "stopped", "failed")) >= 15
    parents = {parent for trial in trials for parent in trial.candidate.parents}
    assert {states[parent] for parent in parents} <= {"finished"}


@every_algorithm
def test_a_search_goes_on_when_nothing_finishes(spec):
    def fail(candidate):
        return Trial(candidate, "failed", None, seconds=0.1, reason="ValueError: no")

    trials = drive(spec.build(SPACE, seed=0), 40, fail)
    assert all(trial.candidate.parents == () for trial in trials)


@pytest.mark.slow
@every_algorithm
def test_parents_are_older_than_their_children(spec):
    for trial in drive(spec.build(SPACE, seed=5), 40):
        assert all(parent < trial.candidate.number for parent in trial.candidate.parents)


@pytest.mark.slow
@every_algorithm
@pytest.mark.parametrize("seed", [0, 3])
def test_a_small_space_is_exhausted_only_when_nearly_all_of_it_was_proposed(spec, seed):
    algorithm, seen = spec.build(SMALL, seed), set()
    with contextlib.suppress(SpaceExhaustedError):
        for (trial,) in (drive(algorithm, 1) for _ in range(2 * SMALL_SIZE)):
            seen.add(trial.candidate.config_fingerprint)
    assert 0.9 * SMALL_SIZE <= len(seen) <= SMALL_SIZE
    with pytest.raises(SpaceExhaustedError):
        drive(algorithm, 4)


@pytest.mark.slow
@every_algorithm
@with_and_without_costs
def test_values_that_are_missing_or_no_number_do_not_end_a_search(spec, minimize):
    def odd(candidate):
        trial = finished(candidate)
        value = (trial.value, None, float("nan"), float("inf"))[candidate.number % 4]
        return Trial(candidate, trial.state, value, trial.seconds, metrics=trial.metrics)

    trials = drive(spec.build(SPACE, 0, minimize), 48, odd, parallel=2)
    parents = {parent for trial in trials for parent in trial.candidate.parents}
    assert all(parent % 4 == 0 for parent in parents)


def test_params_of_an_earlier_candidate_give_that_candidate():
    factory = CandidateFactory(SMALL, seed=0)
    params = {"window.length": 0, "model": 0, "scoring.over": 1}
    first, new = factory.admit(params)
    assert new
    assert first.params == params
    assert factory.admit(params, parents=(0,), generation=3) == (first, False)
    other, new = factory.admit(params | {"scoring.over": 0}, parents=(0,), generation=3)
    assert new
    assert (other.number, other.parents, other.generation) == (1, (0,), 3)


# --- spaces ---


def test_a_space_without_params_is_refused():
    with pytest.raises(Exception, match="a search space must have at least one hyperparameter"):
        check_space(Space({"data": {"kind": "synthetic"}, "model": {"kind": "l2"}}))


def test_a_space_with_an_impossible_candidate_is_refused_before_anything_runs():
    space = Space({"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "window": {"length": {"choice": [8, 0]}}})
    with pytest.raises(Exception, match=r"search space: window\.length: .*greater than or equal to 1, but got 0"):
        check_space(space)


def test_a_space_smaller_than_its_check_is_accepted():
    check_space(SMALL)
