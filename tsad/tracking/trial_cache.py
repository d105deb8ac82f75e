"""Finished trials of earlier searches, so that nothing is trained twice."""

import logging
from pathlib import Path

from mlflow.exceptions import MlflowException

from tsad.assessment.artifacts import DETECTOR
from tsad.selection.trial import Candidate, Trial
from tsad.tracking.store import Store

_logger = logging.getLogger(__name__)
_CURVES = ("train/", "validation/")


class TrialArchive:
    """The finished trials that a store has of one scope: of equal data, objective and code.

    Args:
        store: Where they were logged.
        scope: As their runs are tagged.
        folder: Files of those that are found are downloaded below it.
    """

    def __init__(self, store: Store, scope: str, folder: Path) -> None:
        self._client = store.client
        self._folder = folder
        condition = (
            f"tags.`tsad.scope` = '{scope}' and tags.`tsad.state` = 'finished' and attributes.status = 'FINISHED'"
        )
        self._runs = {run.data.tags["tsad.key"]: run for run in store.search(store.experiment(), condition)}

    def find(self, candidate: Candidate) -> tuple[Trial, Path | None] | None:
        """Returns the finished trial of an equal experiment, with its files; None if there is none, or the files are gone."""
        run = self._runs.get(candidate.key)
        if run is None:
            return None
        run_id = run.info.run_id
        folder = self._folder / run_id
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._client.download_artifacts(run_id, "", str(folder))
        except (MlflowException, OSError) as error:
            _logger.warning("the files of trial %s cannot be read, so it is trained again: %s", run_id, error)
            return None
        if not (folder / DETECTOR).is_dir():
            _logger.warning("trial %s has no %s among its files, so it is trained again", run_id, DETECTOR)
            return None
        metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith(_CURVES)}
        trial = Trial(
            candidate=candidate,
            state="finished",
            value=metrics.pop("value", None),
            seconds=0.0,
            epochs=int(run.data.tags["tsad.epochs"]),
            metrics=metrics,
            reused=run_id,
        )
        return trial, folder


class NoArchive:
    """Finds nothing."""

    def find(self, candidate: Candidate) -> None:
        """Returns None."""
