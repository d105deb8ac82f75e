"""Aging evolution: who lives, who breeds, what a child inherits."""

from collections import Counter

import pytest

from tests.tuning.algorithms.playground import SPACE, candidates, drive, finished
from tsad.selection.trial import Trial
from tsad.spec import parse
from tsad.tuning.algorithms.aging import AgingSpec
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.space import Space

FLAT = Space(
    {
        "data": {"kind": "synthetic"},
        "model": {"kind": "lstm_ae", "hidden": {"choice": [*range(1, 40)]}, "latent": {"choice": [*range(1, 40)]}},
        "window": {"length": {"choice": [*range(2, 40)]}, "stride": {"choice": [*range(1, 40)]}},
    }
)


def worse_and_worse(candidate):
    return Trial(candidate, "finished", -float(candidate.number), seconds=1.0)


def spec_of(population, sample):
    return AgingSpec(kind="aging", population=population, sample=sample)


def test_it_never_waits():
    algorithm = spec_of(4, 2).build(SPACE, seed=0)
    assert all(algorithm.suggest() is not None for _ in range(20))


def test_the_oldest_dies_however_good_it_is():
    trials = drive(spec_of(4, 64).build(SPACE, seed=0), 30, worse_and_worse)
    assert [trial.candidate.parents for trial in trials[:4]] == [()] * 4
    assert [trial.candidate.parents for trial in trials[4:]] == [(number - 4,) for number in range(4, 30)]


def test_age_is_counted_from_the_end_of_a_trial():
    algorithm = spec_of(2, 64).build(SPACE, seed=0)
    first, second, third = (algorithm.suggest() for _ in range(3))
    for candidate in (second, third, first):  # the first, which is the best, ends last and outlives the second
        algorithm.update(worse_and_worse(candidate))
    assert algorithm.suggest().parents == (0,)
    algorithm.update(worse_and_worse(algorithm.suggest()))
    algorithm.update(worse_and_worse(algorithm.suggest()))
    assert algorithm.suggest().parents != (0,)


def test_the_best_of_a_sample_breeds():
    chosen = Counter()
    for seed in range(100):
        algorithm = spec_of(4, 2).build(FLAT, seed)
        drive(algorithm, 4, worse_and_worse)
        chosen[algorithm.suggest().parents[0]] += 1
    # two draws of four with replacement: the best is among them with chance 7/16, then 5/16, 3/16, 1/16
    assert [chosen[number] for number in range(4)] == pytest.approx([44, 31, 19, 6], abs=10)


def test_a_child_has_its_parents_params_but_for_one():
    trials = drive(spec_of(6, 3).build(FLAT, seed=0), 60)
    params = {trial.candidate.number: trial.candidate.params for trial in trials}
    for trial in trials[6:]:
        (parent,) = trial.candidate.parents
        changed = [address for address, value in trial.candidate.params.items() if params[parent][address] != value]
        assert len(changed) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_first_candidates_have_every_option_equally_often(seed):
    first = [candidate.experiment_values for candidate in candidates(drive(spec_of(6, 2).build(SPACE, seed), 6))]
    assert set(Counter(values["model"]["kind"] for values in first).values()) == {2}


def test_with_costs_the_cheapest_breeds_more_often_than_what_lies_between():
    def cheaper(candidate):
        return Trial(candidate, "finished", -candidate.number, 1.0, metrics={"cost": 100.0 - candidate.number})

    chosen = Counter()
    for seed in range(100):
        algorithm = spec_of(4, 2).build(FLAT, seed, minimize=["cost"])
        drive(algorithm, 4, cheaper)
        chosen[algorithm.suggest().parents[0]] += 1
    # no trial dominates another; the ends of the front, 0 and 3, come before 1 and 2
    assert [chosen[number] for number in (0, 3, 1, 2)] == pytest.approx([44, 31, 19, 6], abs=10)


def test_it_finds_better_candidates_than_random_search():
    def best(spec, seed):
        return max(trial.value for trial in drive(spec.build(SPACE, seed), 64, finished))

    found = [best(AgingSpec(kind="aging"), seed) - best(RandomSpec(kind="random"), seed) for seed in range(10)]
    assert sum(found) / len(found) > 0.1


def test_impossible_aging_is_refused():
    with pytest.raises(Exception, match="population: input should be greater than or equal to 2"):
        parse(AgingSpec, {"kind": "aging", "population": 1}, "algorithm")
