"""The trials of a search: run, recorded, and reported as events."""

from collections.abc import Mapping
from pathlib import Path

from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, EndedTrials, Trial
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_files import JournalCopy
from tsad.tracking.search_runs import TrialRecorder
from tsad.tracking.store import Store
from tsad.tracking.trial_cache import MlflowTrialCache
from tsad.tuning.algorithms.anchored import Anchored
from tsad.tuning.journal import JOURNAL, Journal
from tsad.tuning.ray_tune import run_trials
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.spec import SearchConfig
from tsad.workflows.events import OnEvent, SearchStarted, TrialEnded, TrialEpochEnded, TrialStarted


class _Listener:
    """Passes what happens to the trials on to the recorder of their runs, and reports it as events."""

    def __init__(self, recorder: TrialRecorder, copy: JournalCopy, on_event: OnEvent) -> None:
        self._recorder = recorder
        self._copy = copy
        self._on_event = on_event

    def on_started(self, candidate: Candidate) -> None:
        """Passes on that a trial starts."""
        self._recorder.on_started(candidate)
        self._on_event(TrialStarted(candidate))

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Passes on the losses of an epoch."""
        self._recorder.on_epoch(candidate, epoch, losses)
        self._copy.refresh()
        self._on_event(TrialEpochEnded(candidate, epoch, losses))

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Passes on how a trial ended."""
        self._recorder.on_result(trial, folder)
        self._copy.extend(self._copy.size())
        self._on_event(TrialEnded(trial))


def record_trials(
    config: SearchConfig, data: DataSet, store: Store, writer: RunWriter, folder: Path, on_event: OnEvent
) -> EndedTrials:
    """Runs the trials of a search that are left, each in a run of its own, and returns all with the folders of their files.

    Args:
        config: Config of the search on its data.
        data: Data of the search.
        store: Tracking store of the search.
        writer: Writer of the run of the search.
        folder: Folder of the search; what its journal holds is not run again.
        on_event: Callback for progress.

    Raises:
        TsadError: if no trial ended.
    """
    spec, result_fingerprint = config.spec, config.result_fingerprint(data)
    recorder = TrialRecorder(store, folder.name, data, spec.maximize.labels_used, result_fingerprint)
    cache = MlflowTrialCache(store, result_fingerprint, folder / "reused") if spec.reuse else NoTrialCache()
    algorithm = Anchored(config.anchors, spec.algorithm.build(config.space, spec.seed, spec.minimize))
    copy = JournalCopy(writer, folder / JOURNAL)
    try:
        listener = _Listener(recorder, copy, on_event)
        session = SearchSession(algorithm, config.trials, Journal(folder / JOURNAL), listener, cache)
        recorder.catch_up(session.ended)
        ended = tuple(trial for trial, _ in session.ended)
        kinds = (spec.algorithm.kind, spec.maximize.kind)
        on_event(SearchStarted(folder.name, data.name, config.trials, *kinds, spec.parallel, spec.cpus, ended))
        storage = folder / "ray" / str(sum(1 for _ in (folder / "ray").glob("*")))
        run_trials(config, session, data, storage)
    finally:
        recorder.close()
        copy.flush()
    if not session.ended:
        raise TsadError("a champion needs a finished trial, but no trial ended in time; give more seconds")
    return session.ended
