"""Which searches of this machine are alive: each holds the lock of its folder, which ends with its process, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tsad.errors import TsadError

_LOCK = "lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Holds the folder of a search, made if absent.

    Raises:
        TsadError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / _LOCK).acquire(timeout=0)
    except Timeout:
        raise TsadError(
            f"{folder}: one process at a time may search here, but another is at it; wait for its end"
        ) from None
    with lock:
        yield


def abandoned(folder: Path) -> bool:
    """Returns whether a search began in the folder, on this machine, and no process is at it."""
    if not (folder / _LOCK).is_file():
        return False
    try:
        FileLock(folder / _LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return False
    return True
