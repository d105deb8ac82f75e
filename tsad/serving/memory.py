"""Memory that the process does not need any more."""

import asyncio
import ctypes
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

_PAUSE, _GROWTH = 0.2, 16_000_000
"""Seconds from a request to the look at the memory, and the bytes by which it must have grown to be given back."""


_ARENA_MAX, _ARENAS = -8, 2
"""glibc's number of the option, and heaps of the process; each thread would get one, which keeps what it has met."""
_MMAP_THRESHOLD, _MAPPED = -3, 4_000_000
"""glibc's number of the option, and the bytes from which an array is a mapping that goes back when it is freed. By itself
glibc raises them to 32 MB after the first large body, and holes of that size stay in the heap."""


def _find(name: str) -> Callable[..., int] | None:
    """Returns a function of glibc; None on systems with another allocator, which need none."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


_trim, _set_option = _find("malloc_trim"), _find("mallopt")


def bound_heaps() -> None:
    """Makes the allocator of this process keep little of what large bodies needed; call it before threads begin."""
    if _set_option is not None:
        _set_option(_ARENA_MAX, _ARENAS)
        _set_option(_MMAP_THRESHOLD, _MAPPED)


def trim_memory() -> None:
    """Gives memory that was freed back to the system: each thread's part of the heap would keep the largest body it has met."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


def resident_bytes() -> int | None:
    """Returns the memory of this process that is in use, None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


class MemoryTrimmer:
    """Gives memory back to the system soon after requests that have enlarged the process, whatever it was that they needed."""

    def __init__(self) -> None:
        self._least = resident_bytes()
        self._timer: asyncio.TimerHandle | None = None

    def look_soon(self) -> None:
        """Looks at the memory a little later; once for all requests that end until then."""
        if self._timer is None and self._least is not None:
            with suppress(RuntimeError):  # the service ends
                self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._look)

    def _look(self) -> None:
        self._timer = None
        now, least = resident_bytes(), self._least
        if now is None or least is None:
            return
        if now - least > _GROWTH:
            trim_memory()
            self._least = resident_bytes()
        else:
            self._least = min(now, least)
