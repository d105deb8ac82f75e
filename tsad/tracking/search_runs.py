"""The runs of a search: a parent, and a child for each trial, all written on the driver."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.assessment.file_names import HISTORY, SCHEDULE
from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.provenance import LabelsUsed
from tsad.selection.trial import Candidate, EndedTrials, Trial
from tsad.tracking.failures import is_outage
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
        runs = self._trial_runs()
        self.runs = {number: run.info.run_id for number, run in runs.items()}
        self._fingerprints = {number: run.data.tags.get(Tag.CONFIG_FINGERPRINT) for number, run in runs.items()}

    def catch_up(self, ended: EndedTrials) -> None:
        """Writes what the store lacks of trials that ended before their search was interrupted."""
        runs = self._trial_runs()
        for trial, folder in ended:
            number = trial.candidate.number
            if number not in runs or runs[number].info.status != _STATUS[trial.state]:
                self._open_run(trial.candidate)
                self._write_history(number, folder)
                self.on_result(trial, folder)

    def on_started(self, candidate: Candidate) -> None:
        """Creates the child run of a trial, or reopens it in a resumed search.

        A search that resumes on another machine may know less than it did when it was killed, and propose another candidate
        under the number; the run of the one that it forgot is deleted.
        """
        number = candidate.number
        if self._fingerprints.get(number) not in {None, candidate.config_fingerprint}:
            self._store.client.delete_run(self.runs.pop(number))
        self._fingerprints[number] = candidate.config_fingerprint
        self._open_run(candidate)

    def _open_run(self, candidate: Candidate) -> None:
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

    def _write_history(self, number: int, folder: Path | None) -> None:
        """Logs the losses of an ended trial that its run lacks, from its files."""
        path = None if folder is None else folder / HISTORY
        if path is None or not path.is_file():
            return
        for losses in json.loads(path.read_text(encoding="utf-8")):
            epoch = losses.pop("epoch")
            if epoch > self._logged.get(number, 0):
                self._open[number].metrics(losses, step=epoch)

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Logs the losses of an epoch in one request, unless the run has them from before an interruption."""
        if epoch > self._logged.get(candidate.number, 0):
            self._open[candidate.number].metrics(losses, step=epoch)

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Logs metrics and files of a trial, and ends its run."""
        writer = self._open[trial.candidate.number]  # it stays open until the last write, if one fails
        values = dict(trial.metrics) | ({} if trial.value is None else {"value": trial.value})
        if trial.candidate.number in self._logged:
            writer.final_metrics(values)  # its run was there before an interruption, perhaps with metrics
        else:
            writer.metrics(values)
        writer.tags({Tag.STATE: trial.state, Tag.REASON: trial.reason, Tag.EPOCHS: str(trial.epochs)})
        origin = {Tag.REUSED: "" if trial.reused == writer.run_id else trial.reused, Tag.NODE: trial.node}
        writer.tags({name: value for name, value in origin.items() if value})
        if folder is not None:
            writer.files(folder)
            if (folder / SCHEDULE).is_file():
                writer.tags({Tag.SCHEDULE: (folder / SCHEDULE).read_text(encoding="utf-8")})
        writer.end(_STATUS[trial.state])
        del self._open[trial.candidate.number]

    def recover(self) -> None:
        """Learns what the store has after a write that failed, of which a part may have arrived."""
        self.runs = {number: run.info.run_id for number, run in self._trial_runs().items()}
        for number in self._open:
            self._open[number] = RunWriter(self._store.client, self.runs[number])
            self._logged[number] = self._store.last_step(self.runs[number], _LOSS)

    def close(self) -> None:
        """Ends the runs of trials without a result, as KILLED."""
        for writer in self._open.values():
            _kill(writer)
        self._open.clear()
        self._trial_runs()

    def _trial_runs(self) -> dict[int, Run]:
        return child_runs(self._store, self._experiment, self._parent)

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


def child_runs(store: Store, experiment: str, parent: str) -> dict[int, Run]:
    """Returns the runs of the trials of a search by number; of two with one number, the older.

    There are two if the answer of the store to the first was lost; the other is deleted.
    """
    runs: dict[int, Run] = {}
    for run in store.search(experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"):  # oldest first
        if Tag.TRIAL not in run.data.tags:
            continue
        number = int(run.data.tags[Tag.TRIAL])
        if number in runs:
            store.client.delete_run(run.info.run_id)
        else:
            runs[number] = run
    return runs


@dataclass(frozen=True)
class InterruptedRun:
    """The run of a search that has not finished.

    Attributes:
        run_id: Id of the run.
        status: Status of the run.
        search_fingerprint: Fingerprint of the search.
        session: Id of the last session of the search; None if it has none.
    """

    run_id: str
    status: str
    search_fingerprint: str
    session: str | None

    @classmethod
    def of(cls, run: Run) -> "InterruptedRun":
        """Returns what a resuming command needs to know of a run."""
        tags = run.data.tags
        return cls(run.info.run_id, run.info.status, tags.get(Tag.SEARCH_FINGERPRINT, ""), tags.get(Tag.SESSION))


def interrupted_run(store: Store, run_id: str) -> InterruptedRun:
    """Returns the run of an interrupted search.

    Raises:
        TsadError: if there is no such run, or it is none of a search, or its search has finished.
    """
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if is_outage(error):
            raise
        raise TsadError(f"{store.shown} has no run {run_id!r}; --resume takes the id of the run of a search") from None
    kind = run.data.tags.get(Tag.KIND)
    if kind != "search":
        of = "of a trial" if Tag.TRIAL in run.data.tags else f"of kind {kind}"
        raise TsadError(f"run {run_id} must be that of a search, but is one {of}")
    if run.info.status == "FINISHED":
        raise TsadError(
            f"search {run_id} has finished, so there is nothing to resume; leave out --resume for a new one"
        )
    return InterruptedRun.of(run)


def unfinished(store: Store, search_fingerprint: str) -> list[InterruptedRun]:
    """Returns the runs of searches with a search fingerprint that have not finished, newest first.

    All experiments of the store are searched, because the interrupted search may have logged to another one.
    """
    experiments = [experiment.experiment_id for experiment in store.experiments()]
    runs = store.search(experiments, f"{_SEARCH} and tags.`{Tag.SEARCH_FINGERPRINT}` = '{search_fingerprint}'")
    return [InterruptedRun.of(run) for run in reversed(runs) if run.info.status != "FINISHED"]


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
