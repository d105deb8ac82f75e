"""The tracking store: a SQLite file by default, any MLflow server by its URI."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from tsad.errors import TsadError
from tsad.settings import without_password
from tsad.tracking.steady import steady

EXPERIMENT = "tsad"
"""Name of the MLflow experiment of all runs; `mlflow run`, `MLFLOW_EXPERIMENT_ID` and `MLFLOW_EXPERIMENT_NAME` choose another."""

_SQLITE = "sqlite:///"
_PATIENCE = 300.0
"""Seconds that a command waits for another one that is creating the same database."""
_ATTEMPTS, _PAUSE = 3, 1.0
"""Attempts to open a database that another program may be creating, and the seconds between them."""


@dataclass(frozen=True, eq=False)
class Store:
    """An open tracking store.

    Attributes:
        client: MLflow client of the store.
        uri: URI of the store.
    """

    client: MlflowClient
    uri: str

    def experiment(self) -> str:
        """Returns the id of the experiment to log to, which is created if needed, its artifacts next to a local database.

        Several commands may ask at the same time for an experiment that does not exist yet.
        """
        chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if chosen:
            return chosen
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        existing = self.client.get_experiment_by_name(name)
        if existing is None:
            file = _database_file(self.uri)
            artifacts = None if file is None else (file.parent / "mlartifacts").as_uri()
            try:
                return self.client.create_experiment(name, artifact_location=artifacts)
            except MlflowException as error:
                if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                    raise
            existing = self.client.get_experiment_by_name(name)
        if existing is None or existing.lifecycle_stage == "deleted":
            raise TsadError(
                f"experiment {name!r} of {self.shown} was deleted; restore it, or set MLFLOW_EXPERIMENT_NAME to another"
            )
        return str(existing.experiment_id)

    @property
    def shown(self) -> str:
        """URI of the store for messages, without a password."""
        return without_password(self.uri)

    def experiments(self) -> list[Experiment]:
        """Returns all experiments that were not deleted."""
        result: list[Experiment] = []
        page = None
        while True:
            experiments = self.client.search_experiments(page_token=page)
            result.extend(experiments)
            page = experiments.token
            if not page:
                return result

    def experiment_of(self, run_id: str) -> str:
        """Returns the id of the experiment that contains a run."""
        return str(self.client.get_run(run_id).info.experiment_id)

    def search(self, experiment: str | Sequence[str], condition: str) -> list[Run]:
        """Returns all runs of one or more experiments, by id, that fulfill a filter string of MLflow, the oldest first."""
        experiments = [experiment] if isinstance(experiment, str) else list(experiment)
        result: list[Run] = []
        page = None
        while True:
            runs = self.client.search_runs(experiments, condition, order_by=["attributes.start_time"], page_token=page)
            result.extend(runs)
            page = runs.token
            if not page:
                return result

    def last_step(self, run_id: str, metric: str) -> int:
        """Returns the last step at which a run has logged a metric, 0 if it has not."""
        return max((point.step for point in self.client.get_metric_history(run_id, metric)), default=0)


def open_store(uri: str) -> Store:
    """Returns the tracking store at a URI, with its database tables created, and makes it the store of MLflow.

    Call it once in the leading process, before its workers write. Commands that open a SQLite file at the same time take
    turns, because processes that create its tables together break it. `MLFLOW_REGISTRY_URI` may name another model registry.

    Raises:
        TsadError: if the store cannot be reached or used.
    """
    registry = name_store(uri)  # first: who goes on without the store asks it again later
    _check_server(uri)
    try:
        with _alone(uri), _alone(registry if registry != uri else ""):
            client = MlflowClient(uri, registry)
            _first_request(client)
    except MlflowException as error:
        raise TsadError(
            f"tracking store {without_password(uri)} cannot be used ({error.message}); set TSAD_TRACKING_URI"
        ) from None
    return Store(steady(client) if _is_database(uri) else client, uri)


def name_store(uri: str) -> str:
    """Makes the tracking store at a URI the store of MLflow, without asking it, and returns the URI of its model registry."""
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(registry)
    return registry


def _database_file(uri: str) -> Path | None:
    """Returns the absolute path of the file of a SQLite URI; None for every other URI."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(path).resolve() if uri.startswith(_SQLITE) and path not in {"", ":memory:"} else None


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Holds the lock of a SQLite file, next to it; does nothing for other URIs, and where nothing can be written."""
    file = _database_file(uri)
    if file is None or (file.is_file() and not os.access(file.parent, os.W_OK)):
        yield
        return
    try:
        lock = FileLock(file.with_name(f"{file.name}.lock")).acquire(timeout=_PATIENCE)
    except Timeout:
        raise TsadError(
            f"tracking store {uri}: another command has been creating it for {_PATIENCE:g} s; end that command, and try again"
        ) from None
    except OSError as error:
        raise TsadError(f"tracking store {uri} cannot be created ({error}); set TSAD_TRACKING_URI") from None
    with lock:
        yield


def _first_request(client: MlflowClient) -> None:
    """Makes MLflow create what a database lacks; once more if another program, such as `mlflow ui`, does so right now."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            client.search_experiments(max_results=1)
            if _is_database(str(client._registry_uri)):
                client.search_registered_models(max_results=1)
        except MlflowException:
            if attempt == _ATTEMPTS or not _is_database(client.tracking_uri):
                raise
            time.sleep(_PAUSE)
        else:
            return


def _is_database(uri: str) -> bool:
    return uri.startswith(("sqlite", "postgresql", "mysql", "mssql"))


def _check_server(uri: str) -> None:
    """Raises `TsadError` if a server does not answer at once; MLflow itself would retry for minutes.

    MLflow's own client asks, with its user, password, token and certificates; what a server answers is judged later.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        creds = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
        http_request(creds, "/health", "GET", max_retries=0, timeout=10, raise_on_status=False)  # type: ignore[no-untyped-call]
    except (MlflowException, OSError, ValueError) as error:
        text = without_password(f"tracking store {uri} cannot be reached ({error})")
        raise TsadError(f"{text}; start it, or set TSAD_TRACKING_URI") from None
