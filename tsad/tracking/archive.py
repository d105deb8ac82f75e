"""Finished trials of earlier searches, so that nothing is trained twice."""

from pathlib import Path

from tsad.tracking.store import Store
from tsad.trial import Candidate, Trial

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
        """Returns the finished trial of an equal experiment, with its files, or None."""
        run = self._runs.get(candidate.key)
        if run is None:
            return None
        run_id = run.info.run_id
        folder = self._folder / run_id
        folder.mkdir(parents=True, exist_ok=True)
        self._client.download_artifacts(run_id, "", str(folder))
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
