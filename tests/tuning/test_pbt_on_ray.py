"""Four trials that train as a population on a real Ray, two at a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tuning.test_pbt import SPACE
from tests.tuning.test_ray_tune import Witness
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.experiment import run
from tsad.selection.trial import Candidate
from tsad.spec import parse, put, read_yaml
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.journal import Journal
from tsad.tuning.pbt import read_schedule
from tsad.tuning.ray_tune import run_trials
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchConfig, SearchSpec

pytestmark = pytest.mark.slow

POPULATION = put(
    SPACE,
    {
        "split": {"gap": 12, "selection": 0.5},
        "window.length": 8,
        "training": {
            "epochs": 8,
            "patience": 8,
            "batch_size": 64,
            "learning_rate": {"range": [1e-7, 1e-1], "log": True},
        },
    },
)
RATES = (1e-7, 1e-6, 3e-3, 1e-5)  # three that learn next to nothing


class Script:
    """A search algorithm with one candidate for each rate."""

    def __init__(self):
        space = Space(POPULATION)
        self.left = []
        for number, rate in enumerate(RATES):
            values, params = space.resolve({"training.learning_rate": rate})
            experiment = parse(ExperimentConfig, values, "candidate")
            self.left.append(Candidate(number, 0, params, experiment))

    def suggest(self):
        if not self.left:
            raise SpaceExhaustedError
        return self.left.pop(0)

    def update(self, trial):
        pass


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """Four members that take turns on two workers: trials and files by number, the events of a listener, the data."""
    place, witness = tmp_path_factory.mktemp("population"), Witness()
    search = {"trials": 4, "parallel": 2, "pbt": {"every": 2}, "maximize": {"kind": "validation_error"}}
    parsed = parse(SearchSpec, search, "search")
    experiment = Script().left[0].experiment
    data = experiment.data.load(Path())
    session = SearchSession(Script(), 4, Journal(place / "journal.jsonl"), witness, NoTrialCache())
    run_trials(SearchConfig("population", parsed, Space(POPULATION), experiment.data, 4), session, data, place / "ray")
    return {trial.candidate.number: (trial, folder) for trial, folder in session.ended}, witness, data


def test_every_member_lives_to_its_end(population):
    trials, witness, _ = population
    assert {number: trial.state for number, (trial, _) in trials.items()} == dict.fromkeys(range(4), "finished")
    for number in trials:
        kinds, epochs = zip(*((kind, *(rest[:1] or [None])) for kind, _, *rest in witness.of(number)), strict=True)
        assert kinds == ("started", *["advanced"] * (len(kinds) - 2), "ended")
        assert list(epochs[1:-1]) == sorted(set(epochs[1:-1]))


def test_a_member_that_learns_nothing_copies_one_that_learns(population):
    trials, _, _ = population
    segments = {number: read_schedule(folder) for number, (_, folder) in trials.items()}
    copies = [number for number, own in segments.items() if len(own) > 1]
    assert copies
    for number, (trial, folder) in trials.items():
        own = segments[number]
        assert own[-1].trial == trial.candidate.name
        assert [segment.start for segment in own] == sorted({segment.start for segment in own})
        assert all(segment.start % 2 == 0 for segment in own)
        assert trial.candidate.experiment.training == own[-1].training
        assert parse(ExperimentConfig, read_yaml(folder / "experiment.yaml"), "last") == trial.candidate.experiment


def test_copies_are_worth_more_than_what_they_began_with(population):
    trials, _, data = population
    alone = {candidate.number: worth(candidate.experiment, data) for candidate in Script().left}
    found = {number: trial.value for number, (trial, _) in trials.items()}
    copies = {number for number, (_, folder) in trials.items() if len(read_schedule(folder)) > 1}
    assert all(found[number] > alone[number] for number in copies if RATES[number] < 1e-4)
    assert max(found.values()) >= max(alone.values())
    assert all(found[number] == alone[number] for number in trials.keys() - copies)


def worth(experiment, data):
    maximize = parse(SearchSpec, {"maximize": {"kind": "validation_error"}}, "search").maximize
    return maximize.value(run(experiment, data))


def test_the_last_experiment_and_the_schedule_make_a_trial_again(population, tmp_path):
    trials, _, data = population
    for number, (trial, folder) in trials.items():
        experiment = parse(ExperimentConfig, read_yaml(folder / "experiment.yaml"), "last")
        outcome = replay(experiment, read_schedule(folder), data, tmp_path / str(number))
        np.testing.assert_array_equal(outcome.test.values, np.load(folder / "scores.npy"))
        scores = Detector.load(folder / DETECTOR).score(data.test)
        np.testing.assert_array_equal(scores.values, np.load(folder / "scores.npy"))
        history = json.loads((folder / "history.json").read_text())
        assert len(history) == trial.epochs == len(outcome.history)


def replay(experiment, segments, data, folder):
    """Returns the outcome of a schedule, segment by segment; stops each where the next one starts."""

    class NextSegmentError(Exception):
        pass

    outcome = None
    for segment, end in zip(segments, [*(segment.start for segment in segments[1:]), None], strict=True):

        def listen(progress, end=end):
            if progress.epoch == end:
                raise NextSegmentError

        current = experiment.model_copy(update={"training": segment.training})
        try:
            outcome = run(current, data, listen, checkpoints=folder, resume=True)
        except NextSegmentError:
            continue
    return outcome
