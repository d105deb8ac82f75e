"""Signals that wait until a write to the tracking store is complete."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Holds back SIGINT and SIGTERM until the block ends, in the main thread; elsewhere they cannot arrive.

    Use it for several writes that only mean something together, such as the run of an entity with its metrics and files. A single
    call of the store needs none, since it comes to its end by itself (`tracking.steady`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *signalled: arrived.append(signalled)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        signal.raise_signal(arrived[0][0])
