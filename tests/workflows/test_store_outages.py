"""A tracking server that is stopped during a search: started again, or never."""

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from mlflow import MlflowClient

from tests.processes import PYTHON, environment, free_port, ran, wait_for
from tests.workflows.test_search_faults import TRIALS, Place

pytestmark = pytest.mark.slow


class Server:
    """A tracking server that can be stopped and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        words = [PYTHON.parent / "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        log = self.folder / "server.log"
        with log.open("a") as file:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                cwd=self.folder,
                env=environment(),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        wait_for(f"{self.uri}/health", self.process, log)

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def place(server, tmp_path):
    (tmp_path / "place").mkdir()
    place = Place(tmp_path / "place")
    place.client = MlflowClient(server.uri, server.uri)
    return place


@contextmanager
def started(place, **variables):
    log = place.folder / "search.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            place.command, cwd=place.folder, env=environment(**variables), stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def journaled(place):
    (journal,) = place.folder.glob("outputs/search/*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return sum(event["event"] == "ended" for event in events)


def check(place):
    """Each trial once, each loss once, nothing RUNNING."""
    (search,) = place.searches()
    trials = place.trials(search)
    assert sorted(trials) == list(range(TRIALS))
    assert {run.info.status for run in (search, *trials.values())} == {"FINISHED"}
    for run in trials.values():
        steps = [point.step for point in place.client.get_metric_history(run.info.run_id, "train/loss")]
        assert steps == list(range(1, 13))
        assert len(place.client.get_metric_history(run.info.run_id, "value")) == 1
    assert "journal.jsonl" in {file.path for file in place.client.list_artifacts(search.info.run_id)}


def test_a_search_goes_on_without_its_store_and_writes_what_waited(place, server):
    with started(place, MLFLOW_TRACKING_URI=server.uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0") as process:
        place.wait_for_trials(process, 1)
        server.stop()
        before, deadline = journaled(place), time.monotonic() + 120
        while journaled(place) < min(before + 2, TRIALS):  # trials end while nobody answers
            assert process.poll() is None, (place.folder / "search.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        server.start()
        assert process.wait(timeout=200) == 0, (place.folder / "search.log").read_text()
    log = (place.folder / "search.log").read_text()
    assert re.search(rf"tracking store {server.uri} is away \(\w[\w ]+\); the search continues", log), log
    assert f"tracking store {server.uri} is back" in log
    assert "Traceback" not in log
    assert "View run" not in log  # one line says where to look
    check(place)


def test_a_store_that_stays_away_is_told_in_one_line_and_the_search_resumes(place, server):
    variables = {"MLFLOW_TRACKING_URI": server.uri}
    with started(place, TSAD_STORE_OUTAGE="3", **variables) as process:
        place.wait_for_trials(process, 1)
        server.stop()
        assert process.wait(timeout=200) == 1
    log = (place.folder / "search.log").read_text()
    line = log.strip().splitlines()[-1]
    assert line.startswith(
        f"StoreError: tracking store {server.uri} cannot be reached (Connection refused); resume with: "
    )
    assert line.endswith("tsad search space.yaml --resume")
    assert "KeyError" not in log
    assert "Traceback" not in log
    server.start()
    assert "resuming search" in ran(place.command, place.folder, **variables)
    check(place)
