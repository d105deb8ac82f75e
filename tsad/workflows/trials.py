"""The trials of a search: run, recorded, and reported as events."""

from collections.abc import Mapping
from pathlib import Path

from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, EndedTrials, Trial
from tsad.tracking.failures import brief_requests
from tsad.tracking.outbox import Outbox
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_files import JournalCopy
from tsad.tracking.search_runs import TrialRecorder
from tsad.tracking.trial_cache import MlflowTrialCache
from tsad.tuning.algorithms.anchored import Anchored
from tsad.tuning.journal import JOURNAL, Journal
from tsad.tuning.ray_tune import run_trials
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.spec import SearchConfig
from tsad.workflows.context import Context
from tsad.workflows.events import Message, OnEvent, SearchStarted, TrialEnded, TrialEpochEnded, TrialStarted


class _Listener:
    """Passes what happens to the trials on to the recorder of their runs, and reports it as events."""

    def __init__(self, recorder: Outbox, on_event: OnEvent) -> None:
        self._recorder = recorder
        self._on_event = on_event

    def on_started(self, candidate: Candidate) -> None:
        """Passes on that a trial starts."""
        self._recorder.on_started(candidate)
        self.tell_news()
        self._on_event(TrialStarted(candidate))

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """Passes on the losses of an epoch."""
        self._recorder.on_epoch(candidate, epoch, losses)
        self.tell_news()
        self._on_event(TrialEpochEnded(candidate, epoch, losses))

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """Passes on how a trial ended."""
        self._recorder.on_result(trial, folder)
        self.tell_news()
        self._on_event(TrialEnded(trial))

    def tell_news(self) -> None:
        """Reports that the store is away or back."""
        for sentence in self._recorder.news():
            self._on_event(Message(sentence))


def record_trials(
    config: SearchConfig, data: DataSet, context: Context, writer: RunWriter, folder: Path, on_event: OnEvent
) -> EndedTrials:
    """Runs the trials of a search that are left, each in a run of its own, and returns all with the folders of their files.

    Args:
        config: Config of the search on its data.
        data: Data of the search.
        context: Context of the workflow, with the tracking store of the search.
        writer: Writer of the run of the search.
        folder: Folder of the search; what its journal holds is not run again.
        on_event: Callback for progress.

    Raises:
        TsadError: if no trial ended.
    """
    store, spec, result_fingerprint = context.store, config.spec, config.result_fingerprint(data)
    recorder = TrialRecorder(store, folder.name, data, spec.maximize.labels_used, result_fingerprint)
    cache = MlflowTrialCache(store, result_fingerprint, folder / "reused") if spec.reuse else NoTrialCache()
    algorithm = Anchored(config.anchors, spec.algorithm.build(config.space, spec.seed, spec.minimize))
    with brief_requests():
        outbox = Outbox(recorder, JournalCopy(writer, folder / JOURNAL), store.uri, context.settings.store_outage)
        try:
            listener = _Listener(outbox, on_event)
            session = SearchSession(algorithm, config.trials, Journal(folder / JOURNAL), listener, cache)
            outbox.catch_up(tuple(session.ended))
            ended = tuple(trial for trial, _ in session.ended)
            kinds = (spec.algorithm.kind, spec.maximize.kind)
            on_event(SearchStarted(folder.name, data.name, config.trials, *kinds, spec.parallel, spec.cpus, ended))
            storage = folder / "ray" / str(sum(1 for _ in (folder / "ray").glob("*")))
            run_trials(config, session, data, storage)
            outbox.finish(listener.tell_news)
        except BaseException:
            outbox.abandon()
            raise
    if not session.ended:
        raise TsadError("a champion needs a finished trial, but no trial ended in time; give more seconds")
    return session.ended
