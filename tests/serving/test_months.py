"""Months in minutes: promotions, rollbacks, kill -9 and outages of the tracking server, while streams and clients go on."""

import os
import signal
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.examples import sensors
from tests.processes import PYTHON, free_port, running
from tests.serving.months import Address, Line, Sender, plant
from tests.serving.registries import TEST, late_version_folder, point, registered, version_folder, write_sample
from tests.serving.services import table
from tests.serving.test_service_processes import started
from tests.stores import clear_environment
from tsad.detector.detector import Detector
from tsad.thresholds.threshold import GivenThreshold

pytestmark = pytest.mark.slow

HOURS = 90 * 24
PHASES = 9


@pytest.fixture
def detectors(tmp_path):
    """Detectors by version; version 3 knows scores eight rows later than the others, and version 4 flags every row."""
    made = {name: version_folder(tmp_path / "v" / name, *sizes) for name, sizes in {"1": (4, 2), "2": (7, 3)}.items()}
    made["3"] = late_version_folder(tmp_path / "v" / "3", 9)
    Detector(made["1"].scorer, GivenThreshold(value=-1.0)).save(tmp_path / "v" / "4")
    write_sample(tmp_path / "v" / "4", TEST)
    return made


@contextmanager
def registry(tmp_path):
    """Runs a tracking server behind a line that can be cut; yields the line and a client that needs no line."""
    port, store = free_port(), tmp_path / "store"
    store.mkdir()
    words = [PYTHON, "-m", "mlflow", "server", "--port", port, "--workers", 1]
    words += ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}", "--artifacts-destination", store / "artifacts"]
    with running(words, store, f"http://127.0.0.1:{port}/health"):
        line = Line(port)
        try:
            yield line, MlflowClient(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
        finally:
            line.close()


class Operator:
    """Who promotes, kills and cuts, and sees to it that the service comes back."""

    def __init__(self, tmp_path, line, registry, address):
        self.folder, self.line, self.registry, self.address = tmp_path, line, registry, address
        self.stack, self.process = ExitStack(), None

    def start(self):
        uri = f"http://127.0.0.1:{self.line.port}"
        words = ("models:/tsad@champion", "--poll", "0.2")
        client, self.process = self.stack.enter_context(started(self.folder, *words, MLFLOW_TRACKING_URI=uri))
        self.address.client = client

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.address.client = None
        self.process.wait()
        self.start()

    def promote(self, version):
        point(self.registry, version)

    def live(self):
        return self.address.client.get("/api/model").json

    def until(self, happened, seconds=60):
        deadline = time.monotonic() + seconds
        while not happened(self.live()):
            assert time.monotonic() < deadline, self.live()["live"]
            time.sleep(0.05)

    def serves(self, version):
        self.until(lambda model: model["version"] == version)

    def stays(self, version, seconds=1.0):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.live()["version"] == version
            time.sleep(0.05)


def history(operator):
    """Yields after each phase of the months, when its rows may come."""
    yield
    operator.promote("2")
    operator.serves("2")
    yield
    operator.kill()
    operator.serves("2")
    yield
    operator.promote("1")  # a rollback
    operator.serves("1")
    yield
    operator.line.cut()
    operator.until(lambda model: model["live"]["failure"])
    operator.promote("3")
    operator.stays("1")
    yield
    operator.kill()  # while the tracking server is away
    operator.stays("1")
    yield
    operator.line.mend()
    operator.serves("3")
    yield
    operator.promote("4")  # which fails its check
    operator.until(lambda model: model["live"]["refused"])
    operator.kill()
    operator.stays("3")
    yield
    operator.promote("2")
    operator.serves("2")
    yield


def ask(address, stop, expected, seen, faults):
    """Scores whole series again and again; each answer must be that of the version that it names."""
    body = table(TEST)
    while not stop.is_set():
        answer = address.post("/api/score", body)
        if answer is None:
            continue
        version = answer.headers["X-Model-Version"]
        scores = np.array(answer.json["score"], float) if answer.status == 200 else None
        if scores is None or not np.allclose(scores, expected[version], rtol=1e-6, equal_nan=True):
            faults.append((answer.status, version, answer.content[:200]))
        seen.append(version)


def test_months_of_promotions_kills_and_outages_lose_no_request_and_double_no_row(tmp_path, detectors, monkeypatch):
    clear_environment(monkeypatch)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    plants = [
        plant(sensors(HOURS, seed=0), seed, gap) for seed, gap in enumerate(["ffill", "restart", "ffill", "restart"])
    ]
    begin, stop, seen, faults = time.monotonic(), threading.Event(), [], []
    expected = {version: detector.score(TEST).values for version, detector in detectors.items()}
    with registry(tmp_path) as (line, client):
        with monkeypatch.context() as here:
            here.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
            for version in "1234":
                assert registered(client, tmp_path / "v" / version) == version
        point(client, "1")
        address = Address()
        operator = Operator(tmp_path, line, client, address)
        with operator.stack:
            operator.start()
            numbers = [address.post("/api/streams", {"policy": one.policy}).json["id"] for one in plants]
            senders = [
                Sender(one, address, number, seed)
                for seed, (one, number) in enumerate(zip(plants, numbers, strict=True))
            ]
            threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
            asking = threading.Thread(target=ask, args=(address, stop, expected, seen, faults), daemon=True)
            for thread in [*threads, asking]:
                thread.start()
            for phase, _ in enumerate(history(operator), start=1):
                for sender in senders:
                    sender.quota = len(sender.plant.times) * phase // PHASES
                deadline = time.monotonic() + 60
                while any(
                    sender.sent < sender.quota * 0.7 for sender in senders
                ):  # the rest comes during the next event
                    assert time.monotonic() < deadline, [(sender.sent, sender.faults[:2]) for sender in senders]
                    time.sleep(0.02)
            for thread in threads:
                thread.join(60)
            stop.set()
            asking.join(60)
            drift = operator.address.client.get("/api/drift").json
    assert phase == PHASES
    assert (faults, address.broken) == ([], [])
    assert set(seen) == {"1", "2", "3"}
    assert drift["state"] == "drifted"
    for sender in senders:
        check(sender, detectors)
    assert time.monotonic() - begin < 240


def check(sender, detectors):
    """Asserts that all rows were scored once, by the version that was live, and as the batch scores them."""
    assert sender.faults == []
    assert sender.taken == sender.plant.accepted.sum()
    assert sender.rows == sorted(set(sender.rows))  # none twice
    missing = set(range(sender.taken)) - set(sender.rows)
    assert len(missing) <= 30 * sender.unheard  # only answers that a kill took away
    assert set(sender.versions) == {"1", "2", "3"}
    batch = {version: sender.plant.scores(detector) for version, detector in detectors.items()}
    wanted = np.array([batch[version][row] for row, version in zip(sender.rows, sender.versions, strict=True)])
    np.testing.assert_allclose(np.array(sender.scores), wanted, rtol=1e-5, atol=1e-9)
