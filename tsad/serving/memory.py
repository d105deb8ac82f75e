"""Memory that the process does not need any more."""

import ctypes
import sys
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    """Returns glibc's `malloc_trim`; None on systems with another allocator, which need none."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_trim = _find_trim()


def trim_memory() -> None:
    """Gives memory that was freed back to the system: each thread's part of the heap would keep the largest body it has met."""
    if _trim is not None:
        _trim(0)
