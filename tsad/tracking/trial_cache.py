"""Finished trials of earlier searches in the tracking store, so that nothing is trained twice."""

import logging
from pathlib import Path

from mlflow.exceptions import MlflowException

from tsad.assessment.file_names import DETECTOR
from tsad.selection.trial import Candidate, Trial
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag

_logger = logging.getLogger(__name__)
_CURVES = ("train/", "validation/")


class MlflowTrialCache:
    """Finds the finished trials that a tracking store holds under one result fingerprint.

    Args:
        store: Tracking store that the trials were logged to.
        result_fingerprint: Fingerprint of data, objective and code (`SearchConfig.result_fingerprint`); trials that were logged
            under another one are never returned.
        folder: Folder below which the files of the returned trials are downloaded.
    """

    def __init__(self, store: Store, result_fingerprint: str, folder: Path) -> None:
        self._client = store.client
        self._folder = folder
        condition = (
            f"tags.`{Tag.RESULT_FINGERPRINT}` = '{result_fingerprint}' and tags.`{Tag.STATE}` = 'finished' "
            f"and attributes.status = 'FINISHED'"
        )
        runs = store.search(store.experiment(), condition)
        self._runs = {run.data.tags[Tag.CONFIG_FINGERPRINT]: run for run in runs}

    def find(self, candidate: Candidate) -> tuple[Trial, Path | None] | None:
        """Returns the finished trial of an equal experiment with the folder of its files.

        None if the store has no such trial, or if its files cannot be read; a warning is logged in the second case.
        """
        run = self._runs.get(candidate.config_fingerprint)
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
            epochs=int(run.data.tags[Tag.EPOCHS]),
            metrics=metrics,
            reused=run_id,
        )
        return trial, folder
