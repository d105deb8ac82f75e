"""Optuna's samplers: what is reported to the study, and which hyperparameters it is asked for."""

import logging

import pytest

from tests.tuning.algorithms.playground import SMALL, SMALL_SIZE, SPACE, drive, finished, mixed
from tsad.selection.trial import Trial
from tsad.spec import parse
from tsad.tuning.algorithms.optuna import OptunaSpec
from tsad.tuning.algorithms.random import RandomSpec

TPE, NSGA2 = (OptunaSpec(kind="optuna", sampler=sampler) for sampler in ("tpe", "nsga2"))
both = pytest.mark.parametrize("spec", [TPE, NSGA2], ids=lambda spec: spec.sampler)


def study_trials(algorithm):
    """Returns the trials of the study."""
    return algorithm._study.trials


@both
def test_no_trial_of_the_study_is_left_running(spec):
    algorithm = spec.build(SMALL, seed=0)
    drive(algorithm, SMALL_SIZE - 4, mixed, parallel=3)
    running = [trial for trial in study_trials(algorithm) if trial.state.name in ("RUNNING", "WAITING")]
    assert len(running) <= 2  # those that `drive` started and did not end
    assert len(study_trials(algorithm)) > SMALL_SIZE  # repeats were asked for, and answered


@both
@pytest.mark.parametrize("minimize", [(), ("cost/parameters", "cost/latency")])
def test_the_study_learns_how_every_candidate_ended(spec, minimize):
    algorithm = spec.build(SPACE, 0, minimize)
    ends = drive(algorithm, 9, mixed)
    states = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert [trial.state.name for trial in study_trials(algorithm)] == [states[end.state] for end in ends]
    assert [trial.values for trial in study_trials(algorithm)] == [
        [end.value, *(-end.metrics[name] for name in minimize)] if end.state == "finished" else None for end in ends
    ]
    directions = [direction.name for direction in algorithm._study.directions]
    assert directions == ["MAXIMIZE"] * (1 + len(minimize))


@both
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_reported_as_failed(spec, value):
    algorithm = spec.build(SPACE, seed=0)
    drive(algorithm, 1, lambda candidate: Trial(candidate, "finished", value, seconds=1.0))
    assert [trial.state.name for trial in study_trials(algorithm)] == ["FAIL"]


@pytest.mark.slow
def test_a_repeat_is_answered_with_the_value_that_is_known():
    algorithm = TPE.build(SMALL, seed=0)
    ends = drive(algorithm, SMALL_SIZE - 4)
    complete = [trial for trial in study_trials(algorithm) if trial.state.name == "COMPLETE"]
    assert len(complete) > len(ends)
    assert {trial.value for trial in complete} == {end.value for end in ends}


def test_tpe_is_asked_for_active_params_only_and_nsga2_for_all():
    tpe, nsga2 = TPE.build(SPACE, seed=0), NSGA2.build(SPACE, seed=0)
    assert dict(tpe.suggest().params).keys() == study_trials(tpe)[0].params.keys()
    candidate = nsga2.suggest()
    assert study_trials(nsga2)[0].params.keys() == SPACE.params.keys() > candidate.params.keys()


@both
def test_a_random_candidate_is_part_of_the_study(spec):
    algorithm = spec.build(SMALL, seed=1)
    trials = drive(algorithm, SMALL_SIZE)
    known = [dict(trial.params) for trial in study_trials(algorithm)]
    assert all(any(trial.candidate.params.items() <= params.items() for params in known) for trial in trials)


@both
def test_it_says_nothing(spec, caplog, capfd):
    with caplog.at_level(logging.WARNING):
        drive(spec.build(SMALL, seed=0), 20, mixed)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_tpe_finds_better_candidates_than_random_search():
    def best(spec, seed):
        return max(trial.value for trial in drive(spec.build(SPACE, seed), 48, finished))

    found = [best(TPE, seed) - best(RandomSpec(kind="random"), seed) for seed in range(6)]
    assert sum(found) / len(found) > 0.1


def test_a_sampler_that_is_not_there_is_refused():
    with pytest.raises(Exception, match="sampler: input should be 'tpe' or 'nsga2', but got 'cmaes'"):
        parse(OptunaSpec, {"kind": "optuna", "sampler": "cmaes"}, "algorithm")
