"""A few real trials on a real Ray: what the driver learns of them, and which files they leave."""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tsad.assessment.artifacts import metrics
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.errors import TsadError
from tsad.experiment import run
from tsad.selection.trial import Candidate
from tsad.spec import parse, put
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.journal import Journal
from tsad.tuning.ray_tune import run_trials
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchConfig, SearchSpec

pytestmark = pytest.mark.slow

BASE = {
    "seed": 3,
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"selection": 0.5, "gap": 12},
    "window": {"length": 8},
    "model": {"kind": "lstm_ae", "hidden": 8, "latent": 3},
    "training": {"epochs": 3, "batch_size": 64, "learning_rate": 1e-2},
}
ERROR = {"kind": "validation_error"}
LEARNS, L2, PCA, TOO_MANY, CRAWLS = range(5)
CHANGES = (
    {},
    {"model": {"kind": "l2"}},
    {"model": {"kind": "pca_error", "components": 3}},
    {"model": {"kind": "pca_error", "components": 99}},  # of 6 features; the worker raises
    {"training.learning_rate": 1e-8},  # behind at the first rung
)


def experiment(changes):
    return parse(ExperimentConfig, put(BASE, changes), "candidate")


class Script:
    """A search algorithm that proposes what is written down; the last one only when the others have ended."""

    def __init__(self, changes):
        self.candidates = [Candidate(number, 0, {}, experiment(change)) for number, change in enumerate(changes)]
        self.results = []
        self._next = 0

    def suggest(self):
        if self._next == len(self.candidates):
            raise SpaceExhaustedError
        if self._next == len(self.candidates) - 1 and len(self.results) < self._next:
            return None
        self._next += 1
        return self.candidates[self._next - 1]

    def update(self, trial):
        self.results.append(trial)


class Witness:
    """A listener that remembers."""

    def __init__(self):
        self.events = []
        self.threads = set()

    def on_started(self, candidate):
        self._note("started", candidate.number)

    def on_epoch(self, candidate, epoch, losses):
        self._note("advanced", candidate.number, epoch, losses)

    def on_result(self, trial, folder):
        self._note("ended", trial.candidate.number)

    def _note(self, *event):
        self.events.append(event)
        self.threads.add(threading.current_thread())

    def of(self, number):
        return [event for event in self.events if event[1] == number]


class Searched:
    """The results of one search."""

    def __init__(self, place, spec, changes, data=None):
        self.algorithm, self.witness, self.data = Script(changes), Witness(), data or experiment({}).data.load(Path())
        parsed = parse(SearchSpec, spec, "search")
        wanted = SearchConfig("smoke", parsed, Space({}), experiment({}).data, parsed.trials)
        journal = Journal(place / "journal.jsonl")
        session = SearchSession(self.algorithm, wanted.trials, journal, self.witness, NoTrialCache())
        run_trials(wanted, session, self.data, place / "ray")
        self.trials = {trial.candidate.number: trial for trial, _ in session.ended}
        self.folders = {trial.candidate.number: folder for trial, folder in session.ended}
        self.ended = [trial for trial, _ in session.ended]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Five trials, two side by side; more trials are allowed than the search algorithm has candidates."""
    spec = {"trials": 9, "parallel": 2, "maximize": ERROR, "asha": {"grace": 1, "reduction": 2}}
    return Searched(tmp_path_factory.mktemp("search"), spec, CHANGES)


def test_every_candidate_is_tried_once(searched):
    assert sorted(searched.trials) == [LEARNS, L2, PCA, TOO_MANY, CRAWLS]
    assert len(searched.ended) == 5
    assert searched.algorithm.results == searched.ended


def test_every_trial_starts_once_then_advances_then_ends_once(searched):
    for number in searched.trials:
        kinds = [kind for kind, *_ in searched.witness.of(number)]
        assert kinds[0] == "started"
        assert kinds[-1] == "ended"
        assert set(kinds[1:-1]) <= {"advanced"}


def test_epochs_are_reported_in_order_with_their_curves(searched):
    advanced = [event for event in searched.witness.of(LEARNS) if event[0] == "advanced"]
    assert [epoch for _, _, epoch, _ in advanced] == [1, 2, 3]
    assert all({"train/loss", "validation/loss"} <= losses.keys() for *_, losses in advanced)
    assert all(len(searched.witness.of(number)) == 2 for number in (L2, PCA, TOO_MANY))


def test_one_thread_reports_everything(searched):
    assert searched.witness.threads == {threading.main_thread()}


class Meeting:
    """Rows that arrive only where two processes ask for them at the same time."""

    def __init__(self, data, folder):
        self.data, self.folder = data, folder

    def __reduce__(self):
        return _met, (self.data, self.folder)


def _met(data, folder):
    (folder / str(os.getpid())).touch()
    late = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2:
        if time.monotonic() > late:
            raise TimeoutError("nobody else came")
        time.sleep(0.01)
    return data


def test_trials_run_side_by_side(tmp_path):
    (tmp_path / "met").mkdir()
    changes = [{"model": {"kind": "pca_error", "components": components}} for components in (1, 2, 3)]
    meeting = Meeting(experiment({}).data.load(Path()), tmp_path / "met")
    met = Searched(tmp_path, {"trials": 3, "parallel": 2, "maximize": ERROR}, changes, meeting)
    assert [trial.state for trial in met.ended] == ["finished"] * 3


def test_cores_are_counted_up_so_that_a_trial_of_more_than_one_core_fits(tmp_path):
    found = Searched(tmp_path, {"trials": 1, "parallel": 1, "cpus": 1.25, "maximize": ERROR}, CHANGES[L2:PCA])
    assert [trial.state for trial in found.ended] == ["finished"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpus_that_are_not_there_are_named(tmp_path):
    with pytest.raises(
        TsadError, match=r"GPUs of a task must be at most .* but got 0\.5 and there are 0; set search\.gpus=0"
    ):
        Searched(tmp_path, {"trials": 1, "gpus": 0.5, "maximize": ERROR}, CHANGES[L2:PCA])


def test_trials_end_finished_stopped_or_failed(searched):
    states = {number: trial.state for number, trial in searched.trials.items()}
    assert states == {LEARNS: "finished", L2: "finished", PCA: "finished", TOO_MANY: "failed", CRAWLS: "stopped"}
    assert Counter(len(trial.reason) > 0 for trial in searched.trials.values()) == {False: 3, True: 2}


def test_a_failed_trial_has_its_reason_and_no_value(searched):
    failed = searched.trials[TOO_MANY]
    assert failed.reason.startswith(
        "ValueError: components must not exceed the values they explain, but got components=99"
    )
    assert failed.value is None
    assert searched.folders[TOO_MANY] is None


def test_a_stopped_trial_has_the_value_of_the_rung_it_was_stopped_at(searched):
    stopped = searched.trials[CRAWLS]
    assert stopped.epochs == 1
    assert stopped.value < searched.trials[LEARNS].value
    assert stopped.value == experiment_value(searched, CHANGES[CRAWLS] | {"training.epochs": 1})


@pytest.mark.parametrize("number", [LEARNS, L2, PCA])
def test_a_finished_trial_has_the_value_of_its_experiment_without_ray(searched, number):
    trial, outcome = searched.trials[number], run(experiment(CHANGES[number]), searched.data)
    assert timeless(trial.metrics) == timeless(metrics(outcome))
    assert trial.metrics["cost/seconds"] > 0
    assert trial.epochs == len(outcome.history)
    assert trial.value == experiment_value(searched, CHANGES[number])
    assert trial.seconds > 0


def timeless(values):
    """Returns what the test rows say, without wall times and other objectives."""
    return {name: value for name, value in values.items() if not name.startswith(("cost/", "objective/"))}


def experiment_value(searched, changes):
    return parse(SearchSpec, {"maximize": ERROR}, "search").maximize.value(run(experiment(changes), searched.data))


@pytest.mark.parametrize("number", [LEARNS, L2, PCA, CRAWLS])
def test_an_evaluated_trial_leaves_a_detector_that_scores_as_it_did(searched, number):
    folder = searched.folders[number]
    scores = Detector.load(folder / DETECTOR).score(searched.data.test)
    np.testing.assert_array_equal(scores.values, np.load(folder / "scores.npy"))


@pytest.mark.parametrize(("number", "trained"), [(LEARNS, True), (CRAWLS, True), (L2, False), (PCA, False)])
def test_trained_trials_leave_checkpoints_and_a_loss_plot(searched, number, trained):
    files = {path.relative_to(searched.folders[number]).as_posix() for path in searched.folders[number].rglob("*.*")}
    assert {"experiment.yaml", "metrics.json", "history.json", "scores.npy", "plots/scores.png"} <= files
    assert {"checkpoints/best.safetensors", "checkpoints/last.safetensors"} <= files or not trained
    assert ("plots/losses.png" in files) == trained


def test_a_search_out_of_time_ends_every_trial_it_started(tmp_path):
    endless = {"training.epochs": 100_000, "training.patience": 100_000}
    searched = Searched(tmp_path, {"trials": 2, "parallel": 2, "seconds": 25, "asha": {"grace": 1}}, [endless])
    assert [kind for kind, *_ in searched.witness.events if kind != "advanced"] == ["started", "ended"]
    assert searched.trials[0].state == "stopped"
    assert "time" in searched.trials[0].reason


def test_a_trial_that_takes_longer_than_its_limit_is_stopped_and_says_so(tmp_path):
    spec = {"trials": 2, "parallel": 1, "maximize": ERROR, "asha": None, "trial_seconds": 0.01, "retries": 3}
    searched = Searched(tmp_path, spec, [{"training.epochs": 500, "training.patience": 500}])
    (trial,) = searched.ended
    assert (trial.state, trial.reason) == ("stopped", "took longer than search.trial_seconds=0.01")
    assert 1 <= trial.epochs < 500


def test_an_error_of_a_trial_itself_is_not_tried_again(searched, caplog):
    assert [kind for kind, *_ in searched.witness.of(TOO_MANY)] == ["started", "ended"]
    assert "tried again" not in caplog.text
