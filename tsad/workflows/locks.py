"""Locks of search folders: a process that searches holds the lock of its folder, which ends with the process however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tsad.errors import TsadError

_LOCK = "lock"
_SESSION = "session"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which is made if absent.

    Raises:
        TsadError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / _LOCK).acquire(timeout=0)
    except Timeout:
        raise TsadError(
            f"{folder}: one process at a time may use this folder, but another process uses it; wait until it ends"
        ) from None
    with lock:
        yield


def is_stale(folder: Path) -> bool:
    """Returns whether a process of this machine held the lock of the folder and no process holds it now."""
    return (folder / _LOCK).is_file() and not is_held(folder)


def is_held(folder: Path) -> bool:
    """Returns whether a process of this machine holds the lock of the folder now."""
    if not (folder / _LOCK).is_file():
        return False
    try:
        FileLock(folder / _LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def write_session(folder: Path, session: str) -> None:
    """Notes which session of a search runs in a folder; it may go on later in a folder of another machine."""
    (folder / _SESSION).write_text(session, encoding="utf-8")


def is_dead(folders: Path, run_id: str, session: str | None) -> bool | None:
    """Returns whether the process of a search is gone, None if it was not started on this machine.

    Args:
        folders: Folder of all searches of this machine.
        run_id: Run of the search.
        session: Id of its last session; None if it has none.
    """
    folder = folders / run_id
    if is_held(folder):
        return False
    note = folder / _SESSION
    is_last = session is None or (note.is_file() and note.read_text(encoding="utf-8") == session)
    return True if is_stale(folder) and is_last else None
