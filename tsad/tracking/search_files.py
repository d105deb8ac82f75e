"""Files of a search that are artifacts of its run, so that it can resume on any machine: its space and its journal."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from tsad.errors import TsadError
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_runs import child_runs
from tsad.tracking.store import Store

SPACE = "space.json"
"""Name of the artifact that holds the values of a search space."""
_PAUSE = 5.0
"""Least seconds between two copies of a journal."""


def write_space(writer: RunWriter, name: str, values: Mapping[str, Any]) -> None:
    """Logs the name and the values of the space of a search."""
    writer.text(json.dumps({"name": name, "values": values}, default=str, indent=1), SPACE)


def read_space(store: Store, run_id: str) -> tuple[str, dict[str, Any]]:
    """Returns the name and the values of the space of a search.

    Raises:
        TsadError: if the run has none.
    """
    content = _artifact(store, run_id, SPACE)
    if content is None:
        raise TsadError(
            f"run {run_id} of {store.shown} has no {SPACE}: it is no search, or one of an earlier version; give its SPACE.yaml"
        )
    saved = json.loads(content)
    return saved["name"], saved["values"]


class JournalCopy:
    """The copy of a journal among the artifacts of a search, written after each trial, at most every five seconds.

    It holds whole results only: all trials that it says have ended have their files in the store already.

    Args:
        writer: Writer of the run of the search.
        path: Path of the journal.
    """

    def __init__(self, writer: RunWriter, path: Path) -> None:
        self._writer = writer
        self._path = path
        self._size = self._written = path.stat().st_size if path.is_file() else 0
        self._clock = -_PAUSE

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return self._path.name

    def size(self) -> int:
        """Returns the present size of the journal in bytes."""
        return self._path.stat().st_size

    def extend(self, size: int) -> None:
        """Learns that the store has all that the first `size` bytes of the journal tell of."""
        self._size = size
        self.refresh()

    def refresh(self) -> None:
        """Writes the copy if it lacks anything and the last one was written long enough ago."""
        if time.monotonic() - self._clock >= _PAUSE:
            self.flush()

    def flush(self) -> None:
        """Writes the copy if it lacks anything."""
        if self._size == self._written:
            return
        with self._path.open("rb") as file, tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / self.name
            copy.write_bytes(file.read(self._size))
            self._writer.file(copy)
        self._written, self._clock = self._size, time.monotonic()


def fetch_journal(store: Store, run_id: str, name: str) -> bytes | None:
    """Returns the copy of the journal of a search; None if there is none."""
    return _artifact(store, run_id, name)


def fetch_trials(store: Store, run_id: str, numbers: list[int], folder: Path) -> dict[int, Path]:
    """Downloads the files of trials of a search, each into a folder of its own below `folder`, and returns these.

    Raises:
        TsadError: if the store lacks them.
    """
    runs, folders = child_runs(store, store.experiment_of(run_id), run_id), {}
    for number in numbers:
        target = folder / f"{number:03d}"
        target.mkdir(parents=True, exist_ok=True)
        if number in runs:
            store.client.download_artifacts(runs[number].info.run_id, "", str(target))
        if not any(target.iterdir()):
            raise TsadError(
                f"search {run_id} cannot be resumed here: the store has no files of its trial {number}; resume it where it ran"
            )
        folders[number] = target
    return folders


def _artifact(store: Store, run_id: str, name: str) -> bytes | None:
    if name not in {file.path for file in store.client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Path(store.client.download_artifacts(run_id, name, folder)).read_bytes()
        except (MlflowException, OSError):
            return None
