"""Every search space that lies in the repository describes candidates we can build; mistakes in one are named."""

from pathlib import Path

import numpy as np
import pytest

from tsad.config import ExperimentConfig
from tsad.errors import SpecError
from tsad.spec import parse, read_yaml, write_yaml
from tsad.tuning.algorithms.contract import CandidateFactory, SpaceExhaustedError
from tsad.tuning.spec import read_search

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "search_spaces").rglob("*.y*ml"))

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_there_are_search_spaces():
    assert len(FILES) >= 2
    assert {"synthetic_quick.yaml", "smd_quick.yaml"} <= {path.name for path in FILES}


@every_file
def test_a_search_space_parses(path):
    found = read_search(path, {})
    assert found.name == path.stem
    assert found.space.params


@every_file
def test_the_first_line_is_the_command_that_runs_it(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# tsad search {path.relative_to(REPOSITORY).as_posix()}"


@every_file
def test_random_candidates_are_experiments_on_the_rows_of_the_search(path):
    search = read_search(path, {})
    factory, drawn = CandidateFactory(search.space, seed=11), 0
    while drawn < 30:
        try:
            candidate = factory.candidate(lambda: ({}, ()), generation=0)
        except SpaceExhaustedError:
            break
        assert candidate.experiment.data == search.data
        drawn += 1
    assert drawn == 30


@every_file
def test_the_gap_is_wide_enough_for_every_window_and_every_window_for_its_model(path):
    search = read_search(path, {})
    factory = CandidateFactory(search.space, seed=12)
    for _ in range(30):
        experiment = factory.candidate(lambda: ({}, ()), generation=0).experiment
        assert experiment.split.gap >= experiment.window.length
        experiment.model.build(features=8, length=experiment.window.length)


@every_file
def test_rows_that_choose_are_set_apart_if_labels_choose(path):
    search = read_search(path, {})
    labels = search.spec.maximize.labels_used
    values, _ = search.space.resolve({}, np.random.default_rng(0))
    assert labels == "nothing" or values["split"]["selection"] > 0


@every_file
def test_a_candidate_survives_being_written_as_an_experiment(path, tmp_path):
    search = read_search(path, {})
    values, _ = search.space.resolve({}, np.random.default_rng(0))
    experiment = parse(ExperimentConfig, values, "candidate")
    write_yaml(tmp_path / "winner.yaml", experiment, "tsad train winner.yaml")
    assert parse(ExperimentConfig, read_yaml(tmp_path / "winner.yaml"), "winner") == experiment


@every_file
def test_overrides_reach_the_search_and_the_experiment(path):
    changes = {"search.trials": 3, "search.algorithm.kind": "random", "training.epochs": 2, "seed": 5}
    search = read_search(path, changes)
    assert search.spec.trials == 3
    assert search.spec.algorithm.kind == "random"
    values, _ = search.space.resolve({}, np.random.default_rng(0))
    assert (values["training"]["epochs"], values["seed"]) == (2, 5)


def test_a_param_can_be_set_to_a_value():
    path = REPOSITORY / "search_spaces/synthetic_quick.yaml"
    search = read_search(path, {"window.length": 16})
    assert "window.length" in read_search(path, {}).space.params
    assert "window.length" not in search.space.params


# --- mistakes ---


@pytest.fixture
def written(tmp_path):
    """Returns the path of a file that holds a text."""

    def write(text):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


PARAM = "window: {length: {choice: [4, 8]}}\n"
REST = "data: {kind: synthetic}\nmodel: {kind: l2}\n"


def test_the_smallest_search_space_is_data_model_and_one_param(written):
    search = read_search(written(PARAM + REST), {})
    assert list(search.space.params) == ["window.length"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PARAM + "model: {kind: l2}", r"space\.yaml: data: field required"),
        (REST, r"space\.yaml: a search space must have at least one hyperparameter"),
        (PARAM + "data: {kind: synthetic}", r"space\.yaml: .*needs a model, or members"),
        (PARAM + REST + "search: {trails: 3}", r"space\.yaml: search: trails: extra inputs are not permitted"),
        (PARAM + REST + "search: {trials: 0}", r"trials: input should be greater than or equal to 1, but got 0"),
        (PARAM + REST + "search: {algorithm: {kind: oracle}}", r"search: algorithm: .*'oracle'"),
        (PARAM + REST + "search: {seconds: 0}", r"seconds: input should be greater than 0"),
        (PARAM + REST + "color: red", r"space\.yaml: .*color: extra inputs are not permitted"),
        (PARAM + "model: {kind: l2}\ndata: {kind: synthetic, rows: 3}", r"data\.rows: .*but got 3"),
        ("window: {length: {choice: [4, 0]}}\n" + REST, r"space\.yaml: .*window\.length: .*but got 0"),
        ("window: {length: {choise: [4, 8]}}\nseed: {choice: [1, 2]}\n" + REST, r"window\.length: .*choise"),
        (
            PARAM + "model: {kind: l2}\ndata: {kind: synthetic, seed: {choice: [1, 2]}}",
            r"data\.seed: input should be a valid integer",
        ),
        (
            PARAM + REST + "search: {algorithm: {elites: 2}}",
            r"search: algorithm: must name its kind[^;]*$",
        ),
        (
            PARAM + REST + "split: {gap: {choice: [8, 9]}}",
            r"split must be the same for all .* but split\.gap is a hyperparameter",
        ),
        (
            PARAM + REST + "split: {choice: [{gap: 8}, {gap: 9}]}",
            r"split must be the same .* but split is a hyperparameter",
        ),
        (
            PARAM + REST + "search: {algorithm: {kind: evolution, saves: trials}}",
            r"algorithm\.saves: is called 'budget' now",
        ),
        (
            PARAM + REST + "search: {algorithm: {kind: evolution, immigrants: 0.1}}",
            r"algorithm\.immigrants: is called 'random_fraction' now",
        ),
        (PARAM + REST + "search: {pbt: {every: 2, share: 0.3}}", r"pbt\.share: is called 'fraction' now"),
        (
            PARAM + REST + "search: {trials: null}",
            r"trials must be a number unless the algorithm is grid, but got trials=null and map_elites; set trials: 16",
        ),
        (
            PARAM + REST + "training: {epochs: {choice: [1, 2], when: {model.knid: [l2]}}}",
            r"training\.epochs: .*model\.knid",
        ),
    ],
)
def test_a_mistake_is_named_by_path_and_value(written, text, message):
    with pytest.raises(SpecError, match=message):
        read_search(written(text), {})


def test_the_budget_of_evolution_is_what_limits_the_search():
    path = REPOSITORY / "search_spaces" / "smd_quick.yaml"
    budgets = [
        read_search(path, changes).spec.algorithm.budget
        for changes in (
            {},
            {"search.seconds": 60},
            {"search.seconds": 60, "search.algorithm.kind": "evolution", "search.algorithm.budget": "trials"},
        )
    ]
    assert budgets == ["trials", "seconds", "trials"]


def test_a_grid_is_counted_no_further_than_it_will_be_walked():
    changes = {"search.algorithm.kind": "grid", "search.trials": 20}
    assert read_search(REPOSITORY / "search_spaces" / "full.yaml", changes).trials == 20  # of 168 million


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"absent\.yaml: cannot be read \(No such file or directory\)"):
        read_search(tmp_path / "absent.yaml", {})
