"""Searches that are killed, whose workers are killed, that run on a cluster: real processes, a real store."""

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.fleets import panel
from tests.processes import PYTHON, environment, free_port, ran
from tsad.data.sets.synthetic import SyntheticSpec

pytestmark = pytest.mark.slow

TRIALS = 4
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
SPACE = """
search:
  {parallel: 2, algorithm: {kind: random}, asha: null, maximize: {kind: validation_error}, ensemble: null, anchors: [], TRIALS}
data: {kind: csv, path: train.csv, test_path: test.csv, label: label}
window: {length: 8}
model: {kind: lstm_ae, hidden: {choice: [4, 8, 12, 16]}, latent: {choice: [2, 3, 4]}}
training: {epochs: 12, patience: 12, batch_size: 16, learning_rate: {range: [0.001, 0.01], log: true}}
"""


class Place:
    """A folder with a search space, its data, and all that searches leave there."""

    def __init__(self, folder):
        self.folder = folder
        self.options = []
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.client = MlflowClient(uri, uri)
        (folder / "space.yaml").write_text(SPACE.replace("TRIALS", f"trials: {TRIALS}"))
        data = SyntheticSpec(kind="synthetic", rows=600, features=6, events=8).load(folder)
        for name, series in (("train", data.train), ("test", data.test)):
            labels = [0] * len(series) if series.labels is None else series.labels.astype(int)
            rows = (
                "".join(f"{value:.5f}," for value in row) + str(label)
                for row, label in zip(series.values, labels, strict=True)
            )
            (folder / f"{name}.csv").write_text("\n".join([",".join(series.features) + ",label", *rows]) + "\n")

    @property
    def command(self):
        return [str(PYTHON), "-m", "tsad", "search", "space.yaml", *self.options, "--resume"]

    def searches(self):
        return self._runs("tags.`tsad.kind` = 'search'")

    def trials(self, search):
        found = self._runs(f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{search.info.run_id}'")
        return {int(run.data.tags["tsad.trial"]): run for run in found}

    def _runs(self, condition):
        experiment = self.client.get_experiment_by_name("tsad")
        return self.client.search_runs([experiment.experiment_id], condition) if experiment else []

    @contextmanager
    def started(self):
        """A search in its process."""
        with (self.folder / "search.log").open("w") as log:
            process = subprocess.Popen(self.command, cwd=self.folder, env=environment(), stdout=log, stderr=log)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def wait_for_trials(self, process, count):
        """Waits until so many trials of the one search have ended."""
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            assert process.poll() is None, (self.folder / "search.log").read_text()
            searches = self.searches()
            ended = (
                [run for run in self.trials(searches[0]).values() if run.info.status == "FINISHED"] if searches else []
            )
            if len(ended) >= count:
                return
            time.sleep(0.2)
        pytest.fail(f"no {count} trials ended: {(self.folder / 'search.log').read_text()}")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_search_killed_with_its_driver_goes_on_and_a_later_one_trains_nothing_again(place):
    with place.started() as process:
        place.wait_for_trials(process, 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (killed,) = place.searches()
    before = {number: run for number, run in place.trials(killed).items() if run.info.status == "FINISHED"}
    out = ran(place.command, place.folder)
    assert f"resuming search {killed.info.run_id}" in out
    (search,) = place.searches()
    assert search.info.status == "FINISHED"
    trials = place.trials(search)
    assert sorted(trials) == list(range(TRIALS))
    assert {run.info.status for run in trials.values()} == {"FINISHED"}
    assert {number: trials[number].info.end_time for number in before} == {
        number: run.info.end_time for number, run in before.items()
    }
    for run in trials.values():
        steps = [point.step for point in place.client.get_metric_history(run.info.run_id, "train/loss")]
        assert steps == list(range(1, 13))
    out = ran(place.command, place.folder)
    assert "there is no search to resume" in out
    second = place.trials(place.searches()[0])
    assert {run.data.tags["tsad.reused"] for run in second.values()} == {run.info.run_id for run in trials.values()}
    assert [second[number].data.metrics["value"] for number in range(TRIALS)] == [
        trials[number].data.metrics["value"] for number in range(TRIALS)
    ]


@pytest.mark.parametrize(("retries", "failed"), [(2, 0), (0, 1)])
def test_a_trial_whose_worker_is_killed_is_tried_again_as_often_as_the_search_says(place, retries, failed):
    place.options = ["--set", f"search.retries={retries}"]
    with place.started() as process:
        place.wait_for_trials(process, 1)
        victim = None
        while victim is None:
            assert process.poll() is None
            victim = training(process.pid)
        os.kill(victim, signal.SIGKILL)
        assert process.wait(timeout=200) == 0
    (search,) = place.searches()
    trials = place.trials(search)
    assert sorted(trials) == list(range(TRIALS))
    counts = {"FINISHED": TRIALS - failed} | ({"FAILED": failed} if failed else {})
    assert Counter(run.info.status for run in trials.values()) == counts
    for run in trials.values():
        if run.info.status == "FAILED":
            assert "died" in run.data.tags["tsad.reason"] or "killed" in run.data.tags["tsad.reason"]
        else:
            steps = [point.step for point in place.client.get_metric_history(run.info.run_id, "train/loss")]
            assert steps == list(range(1, 13))
    assert ("is tried again (1 of 2 times)" in (place.folder / "search.log").read_text()) == (not failed)


def training(driver):
    """Returns the process of a trial below the driver, None if there is none now."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, *_ in rows}
    for pid, _, *words in rows:
        above = int(pid)
        while above in parents and above != driver:
            above = parents[above]
        if above == driver and "ray::ImplicitFunc" in " ".join(words):
            return int(pid)
    return None


@contextmanager
def node(folder, *options):
    """A Ray node that was started in a folder of its own."""
    folder.mkdir()
    words = [str(PYTHON.parent / "ray"), "start", "--block", "--num-cpus=1", "--disable-usage-stats", *options]
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=environment(**TOKEN), stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 60
            while "Ray runtime started" not in (folder / "node.log").read_text():
                assert process.poll() is None, (folder / "node.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a cluster of two nodes with a core each, and their folders."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    address = f"127.0.0.1:{port}"
    with (
        node(folder / "one", "--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"),
        node(folder / "other", f"--address={address}", "--node-ip-address=127.0.0.1"),
    ):
        yield address, folder


def test_the_same_command_runs_on_the_nodes_of_a_cluster(place, cluster):
    address, folder = cluster
    out = ran(place.command, place.folder, RAY_ADDRESS=address, **TOKEN)
    assert "champion:  models:/tsad@champion" in out
    (search,) = place.searches()
    trials = place.trials(search)
    assert {run.info.status for run in trials.values()} == {"FINISHED"}
    assert len({run.data.tags["tsad.node"] for run in trials.values()}) == 2
    assert {path.name for node in ("one", "other") for path in (folder / node).iterdir()} == {"node.log"}


def test_a_fleet_is_trained_and_its_files_scored_on_the_nodes_of_a_cluster(tmp_path, cluster):
    machines, results = tmp_path / "machines", {}
    machines.mkdir()
    for name, rows in panel([f"m{number}" for number in range(4)], 300).groupby("machine"):
        rows.drop(columns="machine").to_csv(machines / f"{name}.csv", index=False)
    for where, variables in {"here": {}, "there": {"RAY_ADDRESS": cluster[0], **TOKEN}}.items():
        place = tmp_path / where
        place.mkdir()
        words = [PYTHON, "-m", "tsad", "train", f"{machines}/*.csv", "--set", "data.time=time", "--each-entity"]
        out = ran([*words, "--parallel", "1"], place, **variables)
        fleet = next(word for word in out.split() if word.endswith("/fleet"))
        words = [PYTHON, "-m", "tsad", "score", fleet, f"{machines}/*.csv", "--output", "scored", "--parallel", "1"]
        assert "4 of 4 files scored" in ran(words, place, **variables)
        results[where] = [pd.read_csv(path) for path in sorted(place.glob("scored/m*.scored.csv"))]
    assert len(results["here"]) == 4
    for here, there in zip(results["here"], results["there"], strict=True):
        pd.testing.assert_frame_equal(here, there)
