"""The runs of a search: a parent, and a child for each trial, all written on the driver."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.assessment.artifacts import SCHEDULE
from tsad.data.dataset import DataSet
from tsad.provenance import LabelsUsed
from tsad.selection.trial import Candidate, EndedTrials, Trial
from tsad.tracking.memory import columns_fingerprint, series_fingerprint
from tsad.tracking.runs import RunWriter
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag, provenance_tags

_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_LOSS = "train/loss"
_SEARCH = f"tags.`{Tag.KIND}` = 'search'"


class TrialRecorder:
    """A trial listener that writes each trial as a child run: parameters at its start, losses, metrics and files at its end.

    A trial has one run, however often its search was interrupted: runs are found again by parent and number.

    Args:
        store: Tracking store of the search.
        parent: Id of the run of the search.
        data: Data of the search, which the runs are linked to.
        labels_used: Rows whose labels the objective of the search reads.
        result_fingerprint: Fingerprint by which later searches find the trials for reuse.

    Attributes:
        runs: Id of the run of each trial by the number of its candidate.
    """

    def __init__(
        self, store: Store, parent: str, data: DataSet, labels_used: LabelsUsed, result_fingerprint: str = ""
    ) -> None:
        self._store = store
        self._experiment = store.experiment_of(parent)
        self._parent = parent
        self._data = data
        self._labels_used = labels_used
        self._result_fingerprint = result_fingerprint
        self._open: dict[int, RunWriter] = {}
        self._logged: dict[int, int] = {}
        self.runs = {number: run.info.run_id for number, run in self._child_runs().items()}

    def catch_up(self, ended: EndedTrials) -> None:
        """Writes what the store lacks of trials that ended before their search was interrupted."""
        runs = self._child_runs()
        for trial, folder in ended:
            number = trial.candidate.number
            if number not in runs or runs[number].info.status != _STATUS[trial.state]:
                self.on_started(trial.candidate)
                self.on_result(trial, folder)

    def on_started(self, candidate: Candidate) -> None:
        """Creates the child run of a trial, or reopens it in a resumed search."""
        number = candidate.number
        if number in self.runs:
            writer = RunWriter.reopen(self._store, self.runs[number])
            self._logged[number] = self._store.last_step(writer.run_id, _LOSS)
        else:
            writer = RunWriter.create(
                self._store, self._experiment, candidate.name, self._tags(candidate), self._parent
            )
            self.runs[number] = writer.run_id
        self._open[number] = writer
        writer.parameters(candidate.experiment_values)
        writer.inputs(self._data)

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Logs the losses of an epoch in one request, unless the run has them from before an interruption."""
        if epoch > self._logged.get(candidate.number, 0):
            self._open[candidate.number].metrics(losses, step=epoch)

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Logs metrics and files of a trial, and ends its run."""
        writer = self._open.pop(trial.candidate.number)
        values = dict(trial.metrics) | ({} if trial.value is None else {"value": trial.value})
        if trial.candidate.number in self._logged:
            writer.final_metrics(values)  # its run was there before an interruption, perhaps with metrics
        else:
            writer.metrics(values)
        writer.tags({Tag.STATE: trial.state, Tag.REASON: trial.reason, Tag.EPOCHS: str(trial.epochs)})
        origin = {Tag.REUSED: trial.reused, Tag.NODE: trial.node}
        writer.tags({name: value for name, value in origin.items() if value})
        if folder is not None:
            writer.files(folder)
            if (folder / SCHEDULE).is_file():
                writer.tags({Tag.SCHEDULE: (folder / SCHEDULE).read_text(encoding="utf-8")})
        writer.end(_STATUS[trial.state])

    def close(self) -> None:
        """Ends the runs of trials without a result, as KILLED."""
        for writer in self._open.values():
            _kill(writer)
        self._open.clear()
        self._child_runs()

    def _tags(self, candidate: Candidate) -> dict[str, str]:
        return {
            Tag.TRIAL: str(candidate.number),
            Tag.GENERATION: str(candidate.generation),
            Tag.FAMILY: candidate.family,
            Tag.PARENTS: " ".join(str(parent) for parent in candidate.parents),
            Tag.CONFIG_FINGERPRINT: candidate.config_fingerprint,
            Tag.RESULT_FINGERPRINT: self._result_fingerprint,
            Tag.COLUMNS: columns_fingerprint(self._data),
            Tag.ROWS: series_fingerprint(self._data),
            **({Tag.ANCHOR: candidate.anchor} if candidate.anchor else {}),
            **provenance_tags(replace(candidate.experiment.provenance, selection=self._labels_used)),
        }

    def _child_runs(self) -> dict[int, Run]:
        """Returns the child runs by number; of two with one number, made because an answer of the store was lost, the older."""
        condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self._parent}'"
        runs: dict[int, Run] = {}
        for run in self._store.search(self._experiment, condition):  # oldest first
            number = int(run.data.tags[Tag.TRIAL])
            if number in runs:
                self._store.client.delete_run(run.info.run_id)
            else:
                runs[number] = run
        return runs


def unfinished(store: Store, search_fingerprint: str) -> list[str]:
    """Returns the ids of the runs of searches with a search fingerprint that have not finished, newest first.

    All experiments of the store are searched, because the interrupted search may have logged to another one.
    """
    experiments = [experiment.experiment_id for experiment in store.experiments()]
    runs = store.search(experiments, f"{_SEARCH} and tags.`{Tag.SEARCH_FINGERPRINT}` = '{search_fingerprint}'")
    return [str(run.info.run_id) for run in reversed(runs) if run.info.status != "FINISHED"]


def end_orphans(store: Store, is_dead: Callable[[str], bool]) -> None:
    """Ends runs of any experiment that are RUNNING though the process of their search is gone, as KILLED: trials, then searches.

    The run of a search may have ended without those of its trials: `mlflow run` ends the run of a killed command itself, and
    knows no others.

    Args:
        store: Tracking store of the searches.
        is_dead: Returns whether the process of the search with a run id is gone.
    """
    owners = {
        run.info.run_id: run.data.tags.get(MLFLOW_PARENT_RUN_ID, run.info.run_id)
        for run in store.search(
            [experiment.experiment_id for experiment in store.experiments()], "attributes.status = 'RUNNING'"
        )
    }
    dead = {owner for owner in owners.values() if is_dead(owner)}
    for run_id in sorted(owners, key=lambda run_id: owners[run_id] == run_id):
        if owners[run_id] in dead:
            _kill(RunWriter(store.client, run_id))


def _kill(writer: RunWriter) -> None:
    writer.tags({Tag.STATE: "stopped", Tag.REASON: "the search ended before it"})
    writer.end("KILLED")
