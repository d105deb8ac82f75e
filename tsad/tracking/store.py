"""The tracking store: a SQLite file by default, any MLflow server by its URI."""

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tsad.errors import TsadError

EXPERIMENT = "tsad"
"""Name of the MLflow experiment of all runs, unless `mlflow run` or `MLFLOW_EXPERIMENT_ID` chooses another."""


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
        """Returns the id of the experiment to log to; creates `tsad` if needed, its artifacts next to a local database."""
        chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if chosen:
            return chosen
        existing = self.client.get_experiment_by_name(EXPERIMENT)
        if existing is not None:
            return str(existing.experiment_id)
        local = self.uri.startswith("sqlite:///")
        artifacts = Path(self.uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts" if local else None
        return self.client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri() if artifacts else None)

    def experiment_of(self, run_id: str) -> str:
        """Returns the id of the experiment that contains a run."""
        return str(self.client.get_run(run_id).info.experiment_id)

    def search(self, experiment: str, condition: str) -> list[Run]:
        """Returns all runs of an experiment, given by its id, that fulfill a filter string of MLflow, the oldest first."""
        result: list[Run] = []
        page = None
        while True:
            runs = self.client.search_runs([experiment], condition, order_by=["attributes.start_time"], page_token=page)
            result.extend(runs)
            page = runs.token
            if not page:
                return result

    def last_step(self, run_id: str, metric: str) -> int:
        """Returns the last step at which a run has logged a metric, 0 if it has not."""
        return max((point.step for point in self.client.get_metric_history(run_id, metric)), default=0)


def open_store(uri: str) -> Store:
    """Returns the tracking store at a URI, with its database tables created, and makes it the store of MLflow.

    Call it once in the leading process, before other processes write: two processes that create the tables of one SQLite
    file at the same time break it.

    Raises:
        TsadError: if the store cannot be reached or used.
    """
    _check_server(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise TsadError(f"tracking store {uri} cannot be used ({error.message}); set TSAD_TRACKING_URI") from None
    return Store(client, uri)


def _check_server(uri: str) -> None:
    """Raises `TsadError` if a server does not answer at once; MLflow itself would retry for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()  # noqa: S310 (http or https, see above)
    except urllib.error.HTTPError:
        return  # a server answers
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise TsadError(
            f"tracking store {uri} cannot be reached ({error}); start it, or set TSAD_TRACKING_URI"
        ) from None
