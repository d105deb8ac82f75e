"""Searches that did not come to their end: the one that a command resumes."""

from pathlib import Path

from tsad.tracking.search_runs import unfinished
from tsad.tracking.store import Store
from tsad.tuning.journal import JOURNAL
from tsad.workflows.events import Message, OnEvent


def interrupted_search(store: Store, folders: Path, search_fingerprint: str, on_event: OnEvent) -> str | None:
    """Returns the run of the search to resume, None if there is none, and reports which."""
    started = unfinished(store, search_fingerprint)
    resumable = next((run_id for run_id in started if (folders / run_id / JOURNAL).is_file()), None)
    if resumable is not None:
        on_event(Message(f"resuming search {resumable}"))
        return resumable
    if started:
        on_event(Message(f"search {started[0]} cannot be resumed: its journal is not in {folders / started[0]}"))
    on_event(
        Message(
            f"there is no search to resume; this is a new one (looked for an unfinished search of this space, data and code in "
            f"all experiments of {store.shown}, with its journal in {folders})"
        )
    )
    return None
