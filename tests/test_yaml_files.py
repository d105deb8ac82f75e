"""Every experiment that lies in the repository describes something we can build."""

from pathlib import Path

import pytest

from tsad.config import ExperimentConfig
from tsad.spec import parse, put, read_yaml
from tsad.workflows.inputs import read_experiment

REPOSITORY = Path(__file__).parents[1]
EXPERIMENTS = sorted((REPOSITORY / "experiments").rglob("*.y*ml"))

every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)


def test_there_are_experiments():
    assert len(EXPERIMENTS) >= 1


@every_experiment
def test_an_experiment_parses(path):
    read_experiment(path)


@every_experiment
def test_the_first_line_is_the_command_that_runs_it(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# tsad train {path.relative_to(REPOSITORY).as_posix()}"


@every_experiment
def test_the_gap_is_wide_enough_for_the_window(path):
    experiment = read_experiment(path)
    assert experiment.split.gap > experiment.lookback


@every_experiment
def test_a_misspelt_key_is_noticed(path):
    with pytest.raises(Exception, match="color: extra inputs are not permitted"):
        parse(ExperimentConfig, put(read_yaml(path), {"color": 1}), path.name)
