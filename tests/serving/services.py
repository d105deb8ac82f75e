"""The service in a thread of the tests, with a detector that needs no training."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, sensors
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.drift import Profile
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.series import Series
from tsad.serving.app import create_app
from tsad.serving.connections import ConnectionLimits
from tsad.serving.jobs import JobRunner
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.models_in_service import ModelToServe
from tsad.serving.row_sources import SourceRules
from tsad.serving.served_model import open_model
from tsad.serving.server import server_config
from tsad.serving.service_parts import Dependencies, Limits

LENGTH = 4
NO_SEARCH = JobRunner(("false",), {}, lambda folder: [])
"""Fails whatever it is to search."""


def saved_detector(folder: Path) -> tuple[Detector, Series]:
    """Returns a detector of six sensors, saved with its profile, and rows of them that it has not seen."""
    rows = sensors(800)
    train, test = rows.part(0, 700), rows.part(700, 800)
    detector = detector_of(PcaErrorSpec(kind="pca_error", components=2), train, LENGTH, ScoringSpec())
    detector.save(folder)
    Profile.of(detector, train, detector.score(train)).save(folder)
    return detector, test


def split(rows: Series) -> dict[str, Any]:
    """Returns the rows as `/invocations` takes them."""
    return {"dataframe_split": {"columns": list(rows.features), "data": rows.values.tolist()}}


def csv(rows: Series) -> str:
    """Returns the rows as CSV with a header row."""
    lines = [",".join(rows.features), *(",".join(map(repr, row)) for row in rows.values.tolist())]
    return "\n".join(lines) + "\n"


def table(rows: Series) -> dict[str, Any]:
    """Returns the rows as `/api/score` takes them."""
    return {"columns": list(rows.features), "rows": rows.values.tolist()}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        """The value that it holds."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Client:
    """Asks a service; each request has a connection of its own, as a stranger's would."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Returns the answer; a body that is no text or bytes goes as JSON. Header names have `_` for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, str | bytes):
            body, given = json.dumps(body), {"Content-Type": "application/json", **given}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=200)
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, given)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Returns the answer to GET."""
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Returns the answer to POST."""
        return self.ask("POST", path, body, **headers)


@contextmanager
def service(
    detector: Path,
    state: Path,
    rules: SecurityPolicy | None = None,
    limits: Limits | None = None,
    runner: JobRunner = NO_SEARCH,
    connections: ConnectionLimits | None = None,
    sources: SourceRules | None = None,
) -> Iterator[Client]:
    """Runs the service of a saved detector until the block ends."""
    state.mkdir(parents=True, exist_ok=True)
    dependencies = Dependencies(state, runner, lambda done: None, sources=sources or SourceRules())
    model = ModelToServe(detector.name, open_model(str(detector), state), state)
    app = create_app([model], dependencies, rules or SecurityPolicy(), limits or Limits())
    with running_app(app, connections) as client:
        yield client


@contextmanager
def running_app(app: FastAPI, connections: ConnectionLimits | None = None) -> Iterator[Client]:
    """Runs an application until the block ends."""
    config = server_config(app, connections or ConnectionLimits())
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service ended before it began"
            threading.Event().wait(0.01)
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
