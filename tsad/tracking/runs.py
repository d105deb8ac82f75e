"""Writes to MLflow runs: parameters, metrics, tags, files, and links to data."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES

from tsad.data.dataset import DataSet
from tsad.series import Series
from tsad.spec import flatten
from tsad.tracking.failures import brief_requests, quiet, store_failures
from tsad.tracking.heartbeat import beating
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag

INTERRUPTED = "interrupted"
"""Value of the tag `tsad.reason` of a run whose command was interrupted."""
_logger = logging.getLogger(__name__)
_NOTE = "mlflow.note.content"
_BATCH = 1000
"""Largest number of metrics in one request to MLflow."""


class RunWriter:
    """Writes to one MLflow run; every call is synchronous, because MLflow's asynchronous logging loses points under load.

    Args:
        client: Client of the tracking store.
        run_id: Id of the run.

    Attributes:
        run_id: Id of the run.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    @classmethod
    def create(cls, store: Store, experiment: str, name: str, tags: Mapping[str, str], parent: str = "") -> "RunWriter":
        """Returns the writer of a new run.

        Args:
            store: Tracking store that the run is added to.
            experiment: Id of the MLflow experiment.
            name: Name of the run.
            tags: Tags of the run by name.
            parent: Id of the run that it is a child of; empty for none.
        """
        all_tags = {MLFLOW_RUN_NAME: name, **tags} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {})
        run = store.client.create_run(experiment, tags=all_tags, run_name=name)
        return cls(store.client, run.info.run_id)

    @classmethod
    def reopen(cls, store: Store, run_id: str) -> "RunWriter":
        """Returns the writer of an interrupted run, whose status becomes RUNNING again, without error and reason."""
        store.client.update_run(run_id, status="RUNNING")
        for name in {Tag.ERROR, Tag.REASON} & store.client.get_run(run_id).data.tags.keys():
            store.client.delete_tag(run_id, name)
        return cls(store.client, run_id)

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Logs nested values under their paths, such as `training.epochs`.

        A parameter that the run has already, because `mlflow run` logged what the user typed, stays as it is.
        """
        logged = self._client.get_run(self.run_id).data.params
        texts = {path: _shown(value) for path, value in flatten(values).items() if path not in logged}
        self._client.log_batch(self.run_id, params=[Param(path, text) for path, text in texts.items()])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs metrics by name at a step, in as few requests as possible."""
        now = int(time.time() * 1000)
        logged = [Metric(name, float(value), now, step) for name, value in values.items()]
        for first in range(0, len(logged), _BATCH):
            self._client.log_batch(self.run_id, metrics=logged[first : first + _BATCH])

    def final_metrics(self, values: Mapping[str, float]) -> None:
        """Logs metrics without a step, those that the run has from before an interruption not once more."""
        logged = self._client.get_run(self.run_id).data.metrics
        self.metrics({name: value for name, value in values.items() if logged.get(name) != float(value)})

    def tags(self, values: Mapping[str, str]) -> None:
        """Sets tags by name (`tsad.tracking.tags.Tag`)."""
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in values.items()])

    def note(self, text: str) -> None:
        """Sets the description of the run, which the UI shows, as Markdown."""
        self.tags({_NOTE: text})

    def files(self, folder: Path, path: str | None = None) -> None:
        """Logs the files of a folder as artifacts, below the artifact path `path` if it is given."""
        self._client.log_artifacts(self.run_id, str(folder), path)

    def file(self, path: Path) -> None:
        """Logs one file as an artifact."""
        self._client.log_artifact(self.run_id, str(path))

    def text(self, text: str, path: str) -> None:
        """Logs a text as an artifact."""
        self._client.log_text(self.run_id, text, path)

    def inputs(self, data: DataSet) -> None:
        """Links the run to its training and test rows by name, digest, schema and counts; the rows are not uploaded."""
        self._client.log_inputs(self.run_id, [_input(data, "train", data.train), _input(data, "test", data.test)])

    def evaluation(self, values: Mapping[str, float], data: DataSet, model_id: str | None) -> None:
        """Logs metrics of a model on test rows, and links the run to both, so that the page of the model shows them by data set.

        Args:
            values: Metrics by name.
            data: Data set; its test rows are the input.
            model_id: Id of the logged model, None if the model was logged nowhere.
        """
        rows = _input(data, "test", data.test)
        models = None if model_id is None else [LoggedModelInput(model_id)]
        self._client.log_inputs(self.run_id, [rows], models)
        where, now = (model_id, rows.dataset.name, rows.dataset.digest), int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, 0, *where, self.run_id) for name, value in values.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def end(self, status: str = "FINISHED") -> None:
        """Ends the run with the status FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.run_id, status)


def _shown(value: object) -> str:
    """Returns a parameter as text, floats with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _input(data: DataSet, context: str, series: Series) -> DatasetInput:
    source, name = CodeDatasetSource({"source": data.source}), f"{data.name}-{context}"
    if series.labels is None:
        dataset = from_numpy(series.values, source=source, name=name)
    else:
        dataset = from_numpy(series.values, source=source, name=name, targets=series.labels)
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])


@contextmanager
def leading_run(store: Store, name: str, tags: Mapping[str, str], resumed: str | None = None) -> Iterator[RunWriter]:
    """Opens the run of a command and ends it in any case: FINISHED, FAILED (with the reason as a tag), or KILLED (Ctrl-C).

    Meanwhile the run has a heartbeat (`tsad.tracking.heartbeat`).

    Args:
        store: Tracking store of the run.
        name: Name of the run.
        tags: Tags of the run by name.
        resumed: Id of an interrupted run that is resumed. If None, the run is the one that `mlflow run` created for the
            command, else a new one. A run of `mlflow run` that resumes another one gets a tag with the id of the other.
            A second run of one command of `mlflow run` is a child of the first, and a run inside
            `mlflow.start_run()` one of that.
    """
    own = os.environ.get("MLFLOW_RUN_ID")
    if resumed is not None:
        writer = RunWriter.reopen(store, resumed)
        if own and own != resumed:
            RunWriter(store.client, own).tags({Tag.RESUMED: resumed})
    elif own and (info := store.client.get_run(own).info).status == "RUNNING":
        writer = RunWriter(store.client, own)
        writer.tags({MLFLOW_RUN_NAME: name if _is_generated(info.run_name) else info.run_name, **tags})
    else:
        writer = RunWriter.create(store, store.experiment(), name, tags, own or _enclosing(store))
    with quiet(), store_failures(store.uri), beating(store.client, writer.run_id):
        yield from _ended(writer)


def _enclosing(store: Store) -> str:
    """Returns the id of the run that the calling program has started with MLflow in the same experiment, empty for none."""
    active = mlflow.active_run()
    if active is None or active.info.experiment_id != store.experiment():
        return ""
    try:
        return str(store.client.get_run(active.info.run_id).info.run_id)
    except MlflowException:  # it is of another store
        return ""


def _is_generated(run_name: str | None) -> bool:
    """Returns whether MLflow made up the name of a run, such as `bold-finch-12`; `mlflow run --run-name` gives others."""
    first, _, rest = (run_name or "").partition("-")
    second, _, number = rest.partition("-")
    return not run_name or (first in _GENERATOR_PREDICATES and second in _GENERATOR_NOUNS and number.isdigit())


def _ended(writer: RunWriter) -> Iterator[RunWriter]:
    try:
        yield writer
    except KeyboardInterrupt:
        _end_after(writer, "KILLED", {Tag.REASON: INTERRUPTED})  # `mlflow run` itself makes the status FAILED
        raise
    except BaseException as error:
        _end_after(writer, "FAILED", {Tag.ERROR: f"{type(error).__name__}: {error}"[:5000]})
        raise
    writer.end()


def _end_after(writer: RunWriter, status: str, tags: Mapping[str, str]) -> None:
    """Ends a run after an error; that the store fails does not hide the error, and nobody waits for it for minutes."""
    try:
        with brief_requests():
            writer.tags(tags)
            writer.end(status)
    except Exception:
        _logger.debug("run %s was not ended as %s", writer.run_id, status, exc_info=True)
