"""MAP-Elites: which trials keep a niche, who has children, and how many candidates a family may have."""

import contextlib
import math
from collections import Counter
from dataclasses import replace

import pytest

from tests.tuning.algorithms.playground import SMALL, SMALL_SIZE, SPACE, candidates, drive
from tsad.experiment import ExperimentConfig
from tsad.selection.trial import Candidate, Trial
from tsad.spec import parse
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.map_elites import MapElitesSpec
from tsad.tuning.niches import niche_of
from tsad.tuning.space import Space

FAMILIES = ("lstm_ae", "tcn_ae", "window_linear", "k_means", "l2")
FIVE = Space(
    {
        "data": {"kind": "synthetic"},
        "model": {"choice": [{"kind": family} for family in FAMILIES]},
        "window": {"length": {"choice": [*range(2, 120)]}, "stride": {"choice": [*range(1, 40)]}},
    }
)
ONE = Space(
    {
        "data": {"kind": "synthetic"},
        "model": {"kind": "lstm_ae", "hidden": {"choice": [*range(1, 40)]}, "latent": {"choice": [*range(1, 40)]}},
        "window": {"length": {"choice": [*range(2, 120)]}, "stride": {"choice": [*range(1, 40)]}},
    }
)


def spec_of(**settings):
    return MapElitesSpec(kind="map_elites", **settings)


def best_is_tcn(candidate):
    """Returns a trial on a landscape where the worst tcn_ae is better than the best of all other families."""
    length = candidate.experiment.window.length / 1000
    return Trial(candidate, "finished", 10 * (candidate.family == "tcn_ae") + length, seconds=1.0)


def only_tcn_finishes(candidate):
    return best_is_tcn(candidate) if candidate.family == "tcn_ae" else Trial(candidate, "failed", None, seconds=0.1)


def most_frequent(trials):
    """Returns the number of candidates of the most frequent family among the first 1, 2, ... proposals, by their number."""
    counts, largest = Counter(), {}
    for candidate in candidates(trials):
        counts[candidate.family] += 1
        largest[candidate.number + 1] = max(counts.values())
    return largest


def parents_of_next(algorithm, count):
    """Returns how often each trial is a parent of the next candidates, none of which ends."""
    return Counter(parent for _ in range(count) for parent in algorithm.suggest().parents)


def of_length(length, trials):
    """Returns the trials with windows of so many rows, in place of those that they have."""
    return [
        replace(
            trial,
            candidate=replace(
                trial.candidate,
                experiment=trial.candidate.experiment.model_copy(
                    update={"window": trial.candidate.experiment.window.model_copy(update={"length": length})}
                ),
            ),
        )
        for trial in trials
    ]


def test_it_never_waits():
    algorithm = spec_of().build(SPACE, seed=0)
    assert all(algorithm.suggest() is not None for _ in range(40))


# --- niches ---


def test_a_niche_keeps_its_best_trial_and_a_worse_one_does_not_replace_it():
    algorithm = spec_of(random_fraction=0, crossover=0).build(ONE, seed=0)
    proposed = [algorithm.suggest() for _ in range(12)]
    ended = of_length(8, [Trial(candidate, "finished", 0.0, seconds=1.0) for candidate in proposed[:3]])
    for trial, value in zip(ended, (0.5, 0.75, 0.25), strict=True):
        algorithm.update(replace(trial, value=value))
    assert parents_of_next(algorithm, 10) == {1: 10}


@pytest.mark.parametrize(("minimize", "parent"), [((), 0), (("cost/parameters",), 1)])
def test_with_costs_the_cheaper_of_equal_trials_keeps_the_niche(minimize, parent):
    algorithm = spec_of(random_fraction=0, crossover=0).build(ONE, 0, minimize)
    proposed = [algorithm.suggest() for _ in range(12)]
    for candidate, cost in zip(proposed[:2], (9.0, 3.0), strict=True):
        trial = Trial(candidate, "finished", 0.5, seconds=1.0, metrics={"cost/parameters": cost})
        algorithm.update(*of_length(8, [trial]))
    assert parents_of_next(algorithm, 10) == {parent: 10}


def test_a_bad_trial_is_a_parent_if_it_is_alone_in_its_niche():
    algorithm = spec_of(random_fraction=0, crossover=0).build(ONE, seed=0)
    trials = [Trial(algorithm.suggest(), "finished", 0.0, seconds=1.0) for _ in range(12)]
    for length, trial, value in ((8, trials[0], 0.9), (8, trials[1], 0.8), (32, trials[2], 0.2), (100, trials[3], 0.1)):
        algorithm.update(*of_length(length, [replace(trial, value=value)]))
    assert set(parents_of_next(algorithm, 60)) == {0, 2, 3}


def test_parents_come_from_all_occupied_niches_equally_often():
    chosen = Counter()
    for seed in range(4):
        algorithm = spec_of(random_fraction=0, crossover=0, largest_share=1).build(FIVE, seed)
        trials = drive(algorithm, 60, best_is_tcn)
        elites = {}
        for trial in trials:
            niche = niche_of(trial.candidate)
            elites[niche] = max(elites.get(niche, trial), trial, key=lambda one: one.value)
        niche_by_number = {trial.candidate.number: niche for niche, trial in elites.items()}
        if len(elites) == 15:
            chosen += Counter(niche_by_number[number] for number in parents_of_next(algorithm, 300).elements())
    assert len(chosen) == 15
    runs = chosen.total() / 300
    assert runs >= 1
    # 300 / 15 = 20 of each run, with a standard deviation of 4.3
    assert all(abs(count / runs - 20) < 4 * 4.3 / math.sqrt(runs) for count in chosen.values())


def test_a_child_of_two_parents_has_them_from_two_niches_and_mixes_their_params():
    algorithm = spec_of(random_fraction=0, crossover=1, mutation=1e-9).build(ONE, seed=0)
    parents = {trial.candidate.number: trial.candidate for trial in drive(algorithm, 12)}
    mixed = 0
    for child in (algorithm.suggest() for _ in range(60)):
        first, second = (parents[number] for number in child.parents)
        assert niche_of(first) != niche_of(second)
        sources = [
            (first.params[address] == value, second.params[address] == value) for address, value in child.params.items()
        ]
        assert sources.count((False, False)) <= 1  # the mutation
        mixed += {(True, False), (False, True)} <= set(sources)
    assert mixed >= 35  # three params of four from both parents: three quarters of the children


@pytest.mark.parametrize(("crossover", "count"), [(0, 1), (1, 2)])
def test_crossover_is_the_probability_of_two_parents(crossover, count):
    trials = drive(spec_of(random_fraction=0, crossover=crossover).build(ONE, seed=0), 40)
    assert {len(trial.candidate.parents) for trial in trials[12:]} == {count}


def test_a_child_of_one_parent_differs_from_it_in_one_mutation():
    trials = drive(spec_of(random_fraction=0, crossover=0, mutation=1e-9).build(ONE, seed=0), 60)
    params = {trial.candidate.number: trial.candidate.params for trial in trials}
    for trial in trials[12:]:
        (parent,) = trial.candidate.parents
        assert sum(params[parent][address] != value for address, value in trial.candidate.params.items()) == 1


def test_random_candidates_have_no_parents():
    trials = drive(spec_of(random_fraction=0.5).build(FIVE, seed=0), 212)
    assert 75 <= sum(trial.candidate.parents == () for trial in trials[12:]) <= 125


# --- the first candidates ---


@pytest.mark.parametrize("seed", range(5))
def test_the_first_candidates_have_every_option_equally_often(seed):
    first = candidates(drive(spec_of(population=12).build(SPACE, seed), 12))
    values = [candidate.experiment_values for candidate in first]
    assert all(candidate.parents == () for candidate in first)
    assert set(Counter(value["model"]["kind"] for value in values).values()) == {4}
    assert set(Counter(value["scoring"]["over"] for value in values).values()) == {4}
    assert set(Counter(value["window"]["length"] for value in values).values()) == {3}


@pytest.mark.parametrize("seed", range(5))
def test_every_option_that_is_no_number_comes_first_however_small_the_population(seed):
    trials = drive(spec_of(population=2, random_fraction=0).build(FIVE, seed), 6)
    assert {trial.candidate.family for trial in trials[:5]} == set(FAMILIES)
    assert [bool(trial.candidate.parents) for trial in trials] == [False] * 5 + [True]


@pytest.mark.parametrize("seed", range(5))
def test_a_first_candidate_that_repeats_another_is_drawn_again_with_the_same_options(seed):
    model = {"choice": [{"kind": "l2"}, {"kind": "pca_error", "components": {"range": [1, 4]}}]}
    space = Space({"data": {"kind": "synthetic"}, "model": model})
    trials = drive(spec_of(population=8, random_fraction=0).build(space, seed), 5)
    assert [trial.candidate.parents for trial in trials] == [()] * 5  # no child is needed to reach all five


# --- largest share ---


def allowed(percent, proposed):
    """Returns the share of so many proposals, and of 12 at least, rounded up; in whole numbers, so without rounding errors."""
    return -(-percent * max(proposed, 12) // 100)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("end", [best_is_tcn, only_tcn_finishes])
@pytest.mark.parametrize(("percent", "parallel"), [(25, 1), (28, 1), (30, 1), (30, 4), (50, 1)])
def test_no_family_has_more_than_the_largest_share(percent, parallel, end, seed):
    trials = drive(spec_of(largest_share=percent / 100).build(FIVE, seed), 80, end, parallel)
    for proposed, count in most_frequent(trials).items():
        assert count <= allowed(percent, proposed)


def test_the_limit_is_reached_as_soon_as_it_allows_one_more():
    trials = drive(spec_of(largest_share=0.3, random_fraction=0).build(FIVE, seed=0), 80, only_tcn_finishes)
    counts = most_frequent(trials)
    steps = [proposed for proposed in range(30, 81) if allowed(30, proposed) > allowed(30, proposed - 1)]
    assert sum(counts[proposed] == allowed(30, proposed) for proposed in steps) >= len(steps) / 2


@pytest.mark.parametrize("seed", range(3))
def test_without_a_limit_the_only_family_that_finishes_has_more(seed):
    trials = drive(spec_of(largest_share=1).build(FIVE, seed), 60, only_tcn_finishes)
    assert most_frequent(trials)[60] >= 24


@pytest.mark.parametrize("seed", range(3))
def test_evolution_gives_the_best_family_more_than_the_largest_share(seed):
    trials = drive(EvolutionSpec(surrogate="none").build(FIVE, seed), 60, best_is_tcn)
    assert most_frequent(trials)[60] >= 24  # of the 18 that the limit allows


@pytest.mark.slow
def test_evolution_with_a_surrogate_gives_the_best_family_nearly_all():
    assert most_frequent(drive(EvolutionSpec().build(FIVE, 0), 60, best_is_tcn))[60] > 40


def test_the_first_candidates_are_spread_whatever_the_limit():
    trials = drive(spec_of(population=40, largest_share=0.1).build(FIVE, seed=0), 40)
    assert most_frequent(trials)[40] == 8


def test_a_population_that_is_not_full_counts_as_full_for_the_limit():
    window = {"length": {"choice": [8, 0]}, "stride": {"range": [1, 1000]}}  # no window has 0 rows
    space = Space(FIVE.template | {"window": window, "seed": {"range": [0, 1000]}})
    spec, counts = spec_of(population=20, random_fraction=0, crossover=0, mutation=1e-9), []
    for seed in range(5):
        trials = drive(spec.build(space, seed), 16, only_tcn_finishes)
        assert not any(candidate.parents for candidate in candidates(trials)[:10])
        counts.append(most_frequent(trials)[16])
    assert max(counts) == 6  # three tenths of 20, not of 16


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_space_with_one_family_has_no_limit(share):
    trials = drive(spec_of(largest_share=share).build(ONE, seed=0), 40)
    assert {trial.candidate.family for trial in trials} == {"lstm_ae"}
    assert sum(bool(trial.candidate.parents) for trial in trials) >= 20


@pytest.mark.parametrize("seed", range(3))
def test_too_few_families_for_the_limit_have_equal_shares(seed):
    space = Space(FIVE.template | {"model": {"choice": [{"kind": "lstm_ae"}, {"kind": "tcn_ae"}]}})
    families = Counter(trial.candidate.family for trial in drive(spec_of().build(space, seed), 60, best_is_tcn))
    assert set(families.values()) == {30}


@pytest.mark.parametrize("seed", range(3))
def test_a_family_without_new_candidates_leaves_its_share_to_the_others(seed):
    trials = drive(spec_of(largest_share=0.3).build(SMALL, seed), SMALL_SIZE - 2)  # 6 of l2, 24 of pca_error
    assert Counter(trial.candidate.family for trial in trials)["pca_error"] >= 22


@pytest.mark.parametrize("seed", range(5))
def test_a_small_space_is_proposed_nearly_whole_before_it_ends(seed):
    algorithm, count = spec_of().build(SMALL, seed), 0
    with contextlib.suppress(SpaceExhaustedError):
        while drive(algorithm, 1):
            count += 1
    assert count >= SMALL_SIZE - 1


def test_a_space_ends_only_when_nothing_is_new():
    model = {"choice": [{"kind": "l2"}, {"kind": "k_means"}]}
    space = Space({"data": {"kind": "synthetic"}, "model": model, "window": {"length": {"choice": [4, 8, 20]}}})
    algorithm = spec_of(population=2, largest_share=0.01).build(space, seed=0)
    assert len({trial.candidate.config_fingerprint for trial in drive(algorithm, 6)}) == 6
    with pytest.raises(SpaceExhaustedError):
        algorithm.suggest()


@pytest.mark.parametrize("seed", range(3))
def test_families_whose_trials_fail_are_still_tried_when_no_child_leaves_the_family_of_its_parent(seed):
    space = Space(
        FIVE.template
        | {"model": {"choice": [{"kind": "l2"}, {"kind": "tcn_ae"}, {"kind": "lstm_ae"}, {"kind": "k_means"}]}}
    )
    spec = spec_of(random_fraction=0, crossover=0, mutation=1e-9, largest_share=0.25)
    assert most_frequent(drive(spec.build(space, seed), 60, only_tcn_finishes))[60] == 15


def test_trials_without_params_are_no_parents():
    experiment = parse(ExperimentConfig, {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}}, "an anchor")
    algorithm = spec_of(random_fraction=0).build(SPACE, seed=0)
    algorithm.update(Trial(Candidate(99, 0, {}, experiment), "finished", 1e9, seconds=1.0))
    trials = drive(algorithm, 40)
    assert {parent for trial in trials for parent in trial.candidate.parents} <= set(range(40))
    only = spec_of(population=2).build(SPACE, seed=0)
    only.update(Trial(Candidate(99, 0, {}, experiment), "finished", 1e9, seconds=1.0))
    assert all(only.suggest().parents == () for _ in range(20))


def test_equal_seeds_and_calls_give_equal_proposals_and_other_seeds_others():
    def proposals(seed):
        return [
            (candidate.params, candidate.parents)
            for candidate in candidates(drive(spec_of().build(FIVE, seed), 50, best_is_tcn, parallel=3))
        ]

    assert proposals(3) == proposals(3)
    assert proposals(3) != proposals(4)


def test_it_occupies_more_niches_than_evolution():
    def occupied(spec):
        return [
            len({niche_of(trial.candidate) for trial in drive(spec.build(FIVE, seed), 60, best_is_tcn)})
            for seed in range(6)
        ]

    assert sum(occupied(spec_of())) >= sum(occupied(EvolutionSpec(surrogate="none"))) + 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"population": 1}, "population: input should be greater than or equal to 2"),
        ({"largest_share": 0}, "largest_share: input should be greater than 0"),
        ({"largest_share": 1.1}, "largest_share: input should be less than or equal to 1"),
        ({"random_fraction": 1}, "random_fraction: input should be less than 1"),
        ({"mutation": 0}, "mutation: input should be greater than 0"),
        ({"crossover": 1.5}, "crossover: input should be less than or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(Exception, match=message):
        parse(MapElitesSpec, {"kind": "map_elites"} | values, "algorithm")
