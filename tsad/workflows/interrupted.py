"""Searches that did not come to their end: the one that a command resumes, and what this machine lacks of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tsad.errors import TsadError
from tsad.tracking.heartbeat import is_alive
from tsad.tracking.search_files import fetch_journal, fetch_trials
from tsad.tracking.search_runs import InterruptedRun, interrupted_run, unfinished
from tsad.tracking.store import Store
from tsad.tuning.journal import JOURNAL, EndedEvent, Event, Journal
from tsad.workflows.events import Message, OnEvent
from tsad.workflows.locks import is_dead


@dataclass(frozen=True)
class InterruptedSearches:
    """The searches that a command may resume.

    Attributes:
        store: Tracking store of the searches.
        folders: Folder of the searches of this machine.
        search_fingerprint: Fingerprint that the resumed search must have.
        on_event: Callback that learns which search is resumed, and why others are not.
    """

    store: Store
    folders: Path
    search_fingerprint: str
    on_event: OnEvent

    def chosen(self, resume: bool | str) -> str | None:  # noqa: FBT001
        """Returns the run of the search to resume: `checked` for the id of a run, `newest` for True, None for False."""
        if isinstance(resume, str):
            return self.checked(resume)
        return self.newest() if resume else None

    def newest(self) -> str | None:
        """Returns the run of the newest search to resume, None if there is none, and reports which."""
        started = unfinished(self.store, self.search_fingerprint)
        for run in started:
            here = (self.folders / run.run_id / JOURNAL).is_file()
            if not here and fetch_journal(self.store, run.run_id, JOURNAL) is None:
                continue
            if not self._runs_elsewhere(run):
                self._tell(f"resuming search {run.run_id}")
                return run.run_id
            self._tell(f"search {run.run_id} is not resumed: it gives signs of life on another machine")
        if started:
            run_id = started[0].run_id
            self._tell(
                f"search {run_id} cannot be resumed: its journal is neither in {self.folders / run_id} nor in the store"
            )
        self._tell(
            f"there is no search to resume; this is a new one (looked for an unfinished search of this space, data and code in "
            f"all experiments of {self.store.shown}, with its journal in {self.folders} or among its artifacts)"
        )
        return None

    def checked(self, run_id: str) -> str:
        """Returns the id of a run if its search can be resumed.

        Raises:
            TsadError: if it is no search, is one of another space, data or code, has finished, or runs elsewhere.
        """
        run = interrupted_run(self.store, run_id)
        if run.search_fingerprint != self.search_fingerprint:
            raise TsadError(
                f"search {run_id} has another space, other data, another algorithm or other code than this one, and cannot be "
                f"resumed by it; give its own space and data, or search without --resume"
            )
        if self._runs_elsewhere(run):
            raise TsadError(
                f"search {run_id} gives signs of life on another machine; interrupt it there before you resume it here"
            )
        self._tell(f"resuming search {run_id}")
        return run_id

    def _runs_elsewhere(self, run: InterruptedRun) -> bool:
        if is_dead(self.folders, run.run_id, run.session) is not None:
            return False  # the lock of its folder on this machine decides
        if run.status == "RUNNING":
            self._tell(f"watching whether search {run.run_id} still runs on another machine")
        return is_alive(self.store.client, run.run_id)

    def _tell(self, text: str) -> None:
        self.on_event(Message(text))


def fetch(store: Store, run_id: str, folder: Path, on_event: OnEvent) -> None:
    """Fetches the journal of a search and the files of its trials if the store knows of more trials than its folder here.

    Raises:
        TsadError: if the store lacks files of a trial.
    """
    copy = fetch_journal(store, run_id, JOURNAL)
    if copy is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / JOURNAL
        path.write_bytes(copy)
        events = Journal(path).read()
    journal = Journal(folder / JOURNAL)
    if len(_ended(events)) <= len(_ended(journal.peek())) and journal.path.is_file():
        return
    absent = [event.trial.candidate.number for event in _ended(events) if event.files and not event.files.is_dir()]
    folders = fetch_trials(store, run_id, absent, folder / "fetched")
    journal.replace([_placed(event, folders) for event in events])
    on_event(Message(f"fetched {len(_ended(events))} trials of search {run_id} from {store.shown}"))


def _ended(events: Sequence[Event]) -> list[EndedEvent]:
    return [event for event in events if isinstance(event, EndedEvent)]


def _placed(event: Event, folders: dict[int, Path]) -> Event:
    """Returns an event with the folder of this machine that holds the files of its trial."""
    if isinstance(event, EndedEvent) and event.trial.candidate.number in folders:
        return replace(event, files=folders[event.trial.candidate.number])
    return event
