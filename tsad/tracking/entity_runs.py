"""The runs of a fleet: a parent, and a child for each entity, written on the driver in few requests."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from tsad.errors import TsadError
from tsad.spec import flatten
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag

FLEET = "train-each"
"""Kind of the run above those of the entities."""

_PARAMS = 100
"""Largest number of parameters in one request to MLflow."""


class EntityRecorder:
    """Writes the training of each entity as a child run, with its parameters, metrics and files, once it has ended.

    An entity has one finished run, however often its fleet was interrupted; a failed one is followed by that of the next attempt.

    Args:
        store: Tracking store of the fleet.
        parent: Id of the run of the fleet.
        name: Beginning of the names of the child runs.
        values: Parameters that the parent has; a child has those that differ.
        tags: Tags of each child run by name.
    """

    def __init__(
        self, store: Store, parent: str, name: str, values: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        self._store = store
        self._experiment = store.experiment_of(parent)
        self._parent = parent
        self._name = name
        self._values = flatten(values)
        self._tags = dict(tags)

    def finished(self) -> dict[str, Run]:
        """Returns the finished run of each entity by its name."""
        condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self._parent}' and attributes.status = 'FINISHED'"
        runs = self._store.search(self._experiment, condition)
        return {run.data.tags[Tag.ENTITY]: run for run in runs if Tag.ENTITY in run.data.tags}

    def write(
        self, entity: str, values: Mapping[str, Any], metrics: Mapping[str, float], folders: Mapping[str, Path]
    ) -> str:
        """Writes the finished run of an entity, and returns its id.

        Args:
            entity: Name of the entity.
            values: Parameters of its training.
            metrics: Metrics by name.
            folders: Folders of files, by the artifact path that they are logged to; empty for none.
        """
        client, run_id = self._store.client, self._create(entity, {})
        now = int(time.time() * 1000)
        own = [Param(path, str(value)) for path, value in flatten(values).items() if self._values.get(path) != value]
        logged = [Metric(key, float(value), now, 0) for key, value in metrics.items()]
        client.log_batch(run_id, metrics=logged, params=own[:_PARAMS])
        for first in range(_PARAMS, len(own), _PARAMS):
            client.log_batch(run_id, params=own[first : first + _PARAMS])
        for path, folder in folders.items():
            client.log_artifacts(run_id, str(folder), path or None)
        client.set_terminated(run_id, "FINISHED")
        return run_id

    def write_failure(self, entity: str, error: str) -> str:
        """Writes the failed run of an entity, and returns its id."""
        run_id = self._create(entity, {Tag.ERROR: error[:5000]})
        self._store.client.set_terminated(run_id, "FAILED")
        return run_id

    def fetch(self, run_id: str, path: str, folder: Path) -> Path:
        """Returns the folder below `folder` that an artifact folder of a child run was copied to.

        Raises:
            TsadError: if the run has no such files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return Path(self._store.client.download_artifacts(run_id, path, str(folder)))
        except (MlflowException, OSError) as error:
            raise TsadError(
                f"run {run_id}: {path} cannot be fetched ({error}); train anew with --resume none"
            ) from None

    def _create(self, entity: str, tags: Mapping[str, str]) -> str:
        name = f"{self._name}-{entity}"
        own = {MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: self._parent, Tag.ENTITY: entity, **self._tags, **tags}
        return str(self._store.client.create_run(self._experiment, tags=own, run_name=name).info.run_id)


def unfinished_fleet(store: Store, fingerprint: str) -> str | None:
    """Returns the id of the newest run of a fleet with this fingerprint if it did not finish, else None."""
    condition = f"tags.`{Tag.KIND}` = '{FLEET}' and tags.`{Tag.FLEET_FINGERPRINT}` = '{fingerprint}'"
    runs = store.search(store.experiment(), condition)
    return None if not runs or runs[-1].info.status == "FINISHED" else str(runs[-1].info.run_id)


def check_fleet(store: Store, run_id: str, fingerprint: str) -> None:
    """Raises `TsadError` unless a run is that of a fleet with this fingerprint, which can be resumed."""
    try:
        tags = store.client.get_run(run_id).data.tags
    except MlflowException as error:
        raise TsadError(
            f"run {run_id}: cannot be found ({error.message}); check its id, and TSAD_TRACKING_URI"
        ) from None
    if tags.get(Tag.KIND) != FLEET:
        raise TsadError(f"run {run_id}: --resume needs a run of tsad train --each-entity, but it is none; check its id")
    if tags.get(Tag.FLEET_FINGERPRINT) != fingerprint:
        raise TsadError(
            f"run {run_id}: a fleet is resumed with the experiment and files that it began with, but they have changed; give "
            f"those, or train anew with --resume none"
        )
