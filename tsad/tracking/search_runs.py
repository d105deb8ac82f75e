"""The runs of a search: a parent, and a child for each trial, all written here, on the driver."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tsad.data.dataset import DataSet
from tsad.experiment import Experiment
from tsad.provenance import LabelsUsed
from tsad.spec import parse
from tsad.tracking.runs import RunWriter
from tsad.tracking.store import Store
from tsad.trial import Candidate, Trial

_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}


class TrialRecorder:
    """Writes each trial as a child run: parameters at its start, losses as they come, metrics and files at its end."""

    def __init__(self, store: Store, parent: str, data: DataSet, labels_used: LabelsUsed) -> None:
        self._store = store
        self._experiment = store.experiment()
        self._parent = parent
        self._data = data
        self._labels_used = labels_used
        self._open: dict[int, RunWriter] = {}
        self.runs: dict[int, str] = {}

    def started(self, candidate: Candidate) -> None:
        """Creates the child run."""
        experiment = parse(Experiment, candidate.experiment, candidate.name)
        tags = {
            "tsad.trial": str(candidate.number),
            "tsad.generation": str(candidate.generation),
            "tsad.family": candidate.family,
            "tsad.parents": " ".join(str(parent) for parent in candidate.parents),
            **replace(experiment.provenance, selection=self._labels_used).tags(),
        }
        writer = RunWriter.create(self._store, self._experiment, candidate.name, tags, self._parent)
        writer.parameters(candidate.experiment)
        writer.inputs(self._data)
        self._open[candidate.number] = writer
        self.runs[candidate.number] = writer.run_id

    def advanced(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Logs the losses of an epoch in one request."""
        self._open[candidate.number].metrics(losses, step=epoch)

    def ended(self, trial: Trial, folder: Path | None) -> None:
        """Logs metrics and files, and ends the child run."""
        writer = self._open.pop(trial.candidate.number)
        writer.metrics(dict(trial.metrics) | ({} if trial.value is None else {"value": trial.value}))
        writer.tags({"tsad.state": trial.state, "tsad.reason": trial.reason})
        if folder is not None:
            writer.files(folder)
        writer.end(_STATUS[trial.state])

    def close(self) -> None:
        """Ends child runs whose trials were cut off, as KILLED."""
        for writer in self._open.values():
            writer.tags({"tsad.state": "stopped", "tsad.reason": "the search ended before the trial"})
            writer.end("KILLED")
        self._open.clear()
