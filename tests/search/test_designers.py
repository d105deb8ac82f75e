"""What every designer keeps, on a function of the genes that is worked out at once; and what evolution adds."""

import contextlib
import itertools
from collections import Counter

import pytest

from tests.examples import from_defaults, members
from tsad.experiment import Experiment
from tsad.search.designers import DesignerSpec
from tsad.search.designers.contract import SpaceExhaustedError, check_space, fingerprint
from tsad.search.designers.evolution import EvolutionSpec
from tsad.search.designers.random import RandomSpec
from tsad.search.space import Space
from tsad.spec import parse
from tsad.trial import Trial

SPACE = Space(
    {
        "data": {"kind": "synthetic"},
        "window": {"length": {"choice": [8, 16, 32, 64]}},
        "model": {
            "choice": [
                {"kind": "lstm_ae", "hidden": {"choice": [16, 32, 64]}, "latent": {"range": [2, 32]}},
                {"kind": "tcn_ae", "channels": {"choice": [16, 32, 64]}, "latent": {"range": [2, 32]}},
                {"kind": "window_linear", "components": {"range": [4, 32]}},
            ]
        },
        "training": {
            "learning_rate": {"range": [1e-4, 1e-1], "log": True, "when": {"model.kind": ["lstm_ae", "tcn_ae"]}}
        },
        "scoring": {"over": {"choice": ["last", "window", "mean"]}, "misfit": {"choice": ["squared", "absolute"]}},
    }
)

SMALL = Space(
    {
        "data": {"kind": "synthetic"},
        "window": {"length": {"choice": [8, 16, 32]}},
        "model": {"choice": [{"kind": "l2"}, {"kind": "pca_error", "components": {"range": [1, 4]}}]},
        "scoring": {"over": {"choice": ["last", "mean"]}},
    }
)
SMALL_SIZE = 3 * (1 + 4) * 2

DESIGNERS = [from_defaults(member) for member in members(DesignerSpec)]
every_designer = pytest.mark.parametrize("spec", DESIGNERS, ids=lambda spec: spec.kind)


def worth(candidate):
    """Returns how near the candidate is to a tcn_ae of 64 channels on windows of 16, scored by `window`; 5 at most."""
    values = candidate.experiment
    model = values["model"]
    near = abs(model.get("latent", 99) - 20) / 30
    return (
        2.0 * (model["kind"] == "tcn_ae")
        + 1.0 * (values["window"]["length"] == 16)
        + 1.0 * (values["scoring"]["over"] == "window")
        + 0.5 * (model.get("channels") == 64)
        + 0.5 * max(0.0, 1 - near)
    )


def finished(candidate):
    return Trial(candidate, "finished", worth(candidate), seconds=1.0, epochs=3)


def mixed(candidate):
    """Returns a third each of finished trials, of stopped ones with a value beyond all others, and of failed ones."""
    if candidate.number % 3 == 0:
        return finished(candidate)
    if candidate.number % 3 == 1:
        return Trial(candidate, "stopped", 1e9, seconds=0.1, epochs=1, reason="behind at a rung")
    return Trial(candidate, "failed", None, seconds=0.1, reason="ValueError: no")


def drive(designer, count, end=finished, parallel=1):
    """Returns the first trials to end, `parallel` running at once where the designer does not wait; the last in, first out."""
    running, ended = [], []
    while len(ended) < count:
        while len(running) < parallel and (candidate := designer.suggest()) is not None:
            running.append(candidate)
        assert running, "the designer waits for a trial, but none is running"
        ended.append(end(running.pop()))
        designer.update(ended[-1])
    return ended


def candidates(trials):
    return sorted((trial.candidate for trial in trials), key=lambda candidate: candidate.number)


def proposals(spec, seed, end=finished, count=40):
    return [
        (candidate.genes, candidate.parents) for candidate in candidates(drive(spec.build(SPACE, seed), count, end))
    ]


# --- every designer ---


@every_designer
@pytest.mark.parametrize("parallel", [1, 4])
def test_no_configuration_is_proposed_twice(spec, parallel):
    trials = drive(spec.build(SMALL, seed=0), SMALL_SIZE - 4, parallel=parallel)
    assert len({fingerprint(trial.candidate.experiment) for trial in trials}) == SMALL_SIZE - 4


@every_designer
@pytest.mark.parametrize("end", [finished, mixed])
def test_the_same_seed_and_results_give_the_same_proposals(spec, end):
    assert proposals(spec, 3, end) == proposals(spec, 3, end)


@every_designer
def test_another_seed_gives_other_proposals(spec):
    if spec.kind == "grid":
        pytest.skip("a grid has one order, whatever the seed")
    assert proposals(spec, 3) != proposals(spec, 4)


@every_designer
def test_candidates_are_numbered_in_the_order_of_proposal_and_generations_ascend(spec):
    designer, generation = spec.build(SPACE, seed=1), 0
    for number in range(30):
        candidate = designer.suggest()
        assert candidate.number == number
        assert candidate.generation >= generation
        generation = candidate.generation
        designer.update(finished(candidate))


@every_designer
def test_a_candidate_is_what_its_genes_resolve_to(spec):
    for candidate in candidates(drive(spec.build(SPACE, seed=2), 40, mixed)):
        values, active = SPACE.resolve(candidate.genes)
        assert active == candidate.genes
        assert parse(Experiment, values, "candidate").model_dump(mode="json") == candidate.experiment


@every_designer
@pytest.mark.parametrize("seed", range(3))
def test_neither_failed_nor_stopped_trials_breed(spec, seed):
    trials = drive(spec.build(SPACE, seed), 60, mixed, parallel=3)
    states = {trial.candidate.number: trial.state for trial in trials}
    assert min(Counter(states.values())[state] for state in ("finished", "stopped", "failed")) >= 15
    parents = {parent for trial in trials for parent in trial.candidate.parents}
    assert {states[parent] for parent in parents} <= {"finished"}


@every_designer
def test_a_search_goes_on_when_nothing_finishes(spec):
    def fail(candidate):
        return Trial(candidate, "failed", None, seconds=0.1, reason="ValueError: no")

    trials = drive(spec.build(SPACE, seed=0), 40, fail)
    assert all(trial.candidate.parents == () for trial in trials)


@every_designer
def test_parents_are_older_than_their_children(spec):
    for trial in drive(spec.build(SPACE, seed=5), 40):
        assert all(parent < trial.candidate.number for parent in trial.candidate.parents)


@every_designer
@pytest.mark.parametrize("seed", range(5))
def test_a_small_space_is_exhausted_only_when_nearly_all_of_it_was_proposed(spec, seed):
    designer, seen = spec.build(SMALL, seed), set()
    with contextlib.suppress(SpaceExhaustedError):
        for (trial,) in (drive(designer, 1) for _ in range(2 * SMALL_SIZE)):
            seen.add(fingerprint(trial.candidate.experiment))
    assert 0.9 * SMALL_SIZE <= len(seen) <= SMALL_SIZE
    with pytest.raises(SpaceExhaustedError):
        drive(designer, 4)


# --- evolution ---


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
    designer = EvolutionSpec(population=4).build(SPACE, seed=0)
    first = [designer.suggest() for _ in range(4)]
    for candidate in first:
        assert designer.suggest() is None
        designer.update(finished(candidate))
    second = [designer.suggest() for _ in range(4)]
    assert designer.suggest() is None
    assert [candidate.generation for candidate in first + second] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_proposals_do_not_depend_on_which_of_the_running_ends_first():
    spec = EvolutionSpec(population=6)
    one, other = (
        [candidate.genes for candidate in candidates(drive(spec.build(SPACE, 0), 30, parallel=parallel))]
        for parallel in (1, 6)
    )
    assert one == other


def test_the_first_generation_has_no_parents_and_later_ones_have_one_or_two():
    trials = drive(EvolutionSpec(population=5, crossover=0.5).build(SPACE, 0), 50)
    counts = {0: set(), 1: set()}
    for trial in trials:
        counts[min(trial.candidate.generation, 1)].add(len(trial.candidate.parents))
    assert counts == {0: {0}, 1: {1, 2}}


@pytest.mark.parametrize("seed", range(10))
def test_the_first_generation_has_every_option_of_the_top_level_choices_equally_often(seed):
    first = [trial.candidate.experiment for trial in drive(EvolutionSpec(population=6).build(SPACE, seed), 6)]
    assert set(Counter(values["model"]["kind"] for values in first).values()) == {2}
    assert set(Counter(values["scoring"]["over"] for values in first).values()) == {2}
    assert set(Counter(values["scoring"]["misfit"] for values in first).values()) == {3}
    assert len({values["window"]["length"] for values in first}) == 4


def test_elites_stay_parents_however_poor_the_generations_after_them():
    designer = EvolutionSpec(population=4, elites=1, tournament=1).build(SPACE, seed=0)
    found = generations(drive(designer, 32, descending))
    for number in range(2, 8):
        parents = {parent for trial in found[number] for parent in trial.candidate.parents}
        before = {trial.candidate.number for trial in found[number - 1]}
        assert parents <= {0} | before
    assert any(0 in trial.candidate.parents for trial in found[7])


def test_elites_are_not_trained_again():
    trials = drive(EvolutionSpec(population=4, elites=4).build(SPACE, seed=0), 32, descending)
    assert [len(group) for group in generations(trials).values()] == [4] * 8
    assert {parent for trial in trials for parent in trial.candidate.parents} <= {0, 1, 2, 3}


def test_the_better_of_a_tournament_breeds():
    trials = drive(EvolutionSpec(population=8, elites=1, tournament=64, crossover=0).build(SPACE, seed=0), 16)
    best = min(trials[:8], key=lambda trial: trial.rank)
    assert {trial.candidate.parents for trial in trials[8:]} == {(best.candidate.number,)}


def test_a_child_has_its_parents_genes_but_for_one_mutation():
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
    trials = drive(EvolutionSpec(population=10, crossover=0.5, mutation=1e-9).build(flat, seed=0), 60)
    genes = {trial.candidate.number: trial.candidate.genes for trial in trials}
    for trial in trials[10:]:
        inherited = [
            any(genes[parent][address] == value for parent in trial.candidate.parents)
            for address, value in trial.candidate.genes.items()
        ]
        assert inherited.count(False) <= 1


def test_children_of_two_parents_mix_them():
    trials = drive(EvolutionSpec(population=10, crossover=1, mutation=1e-9).build(SPACE, seed=0), 60)
    assert all(len(trial.candidate.parents) == 2 for trial in trials[10:])


def test_evolution_finds_better_candidates_than_random_search():
    def best(spec, seed):
        return max(trial.value for trial in drive(spec.build(SPACE, seed), 48))

    seeds = range(12)
    evolved = [best(EvolutionSpec(), seed) for seed in seeds]
    drawn = [best(RandomSpec(kind="random"), seed) for seed in seeds]
    better = sum(one > other for one, other in zip(evolved, drawn, strict=True))
    assert sum(evolved) / len(seeds) > sum(drawn) / len(seeds) + 0.2
    assert better >= 9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"elites": 7}, "elites must not exceed population, but got 7 and 6"),
        ({"population": 1}, "population: input should be greater than or equal to 2"),
        ({"mutation": 0}, "mutation: input should be greater than 0"),
        ({"crossover": 1.5}, "crossover: input should be less than or equal to 1"),
    ],
)
def test_impossible_breeding_is_refused(values, message):
    with pytest.raises(Exception, match=message):
        parse(EvolutionSpec, {"kind": "evolution"} | values, "designer")


# --- spaces ---


def test_a_space_without_genes_is_refused():
    with pytest.raises(Exception, match="a search space must have at least one gene"):
        check_space(Space({"data": {"kind": "synthetic"}, "model": {"kind": "l2"}}))


def test_a_space_with_an_impossible_candidate_is_refused_before_anything_runs():
    space = Space({"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "window": {"length": {"choice": [8, 0]}}})
    with pytest.raises(Exception, match=r"search space: window\.length: .*greater than or equal to 1, but got 0"):
        check_space(space)


def test_a_space_smaller_than_its_check_is_accepted():
    check_space(SMALL)
