"""Work that takes long, away from the event loop, a little of it side by side."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from tsad.errors import stoppable
from tsad.serving.errors import RequestError

T = TypeVar("T")


class ScoringExecutor:
    """Lets requests that score wait for their turn.

    Args:
        most: Requests that are scored side by side, each on one thread.
        waiting: Requests that may wait; more are refused.
    """

    def __init__(self, most: int, waiting: int = 64) -> None:
        self._most = most
        self._room = most + waiting
        self._free = asyncio.Semaphore(most)
        # asyncio's own pool has more threads, between which the interpreter goes round: a sixth slower
        self._threads = ThreadPoolExecutor(most)
        self._inside = 0

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return max(0, self._inside - self._most)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self._inside >= self._room

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Returns what `work` returns, from a thread; raises `RequestError` if too many wait."""
        return await self._run(work, *arguments, to_its_end=False)

    async def run_to_its_end(self, work: Callable[..., T], *arguments: Any) -> T:
        """Returns what `run` does; if it is canceled, returns no sooner than the work has ended, which then uses nothing."""
        return await self._run(work, *arguments, to_its_end=True)

    async def _run(self, work: Callable[..., T], *arguments: Any, to_its_end: bool) -> T:

        def start() -> Awaitable[T]:
            context = copy_context()  # a pool does not pass it on
            return asyncio.get_running_loop().run_in_executor(self._threads, context.run, work, *arguments)

        return await self.take(start, to_its_end=to_its_end)

    async def take(self, start: Callable[..., Awaitable[T]], *arguments: Any, to_its_end: bool = False) -> T:
        """Returns what that returns which `start` starts, in its turn; raises `RequestError` if too many wait.

        If nobody waits for its answer any more, work ends at its next batch of windows, and keeps its place until then.
        """
        if self._inside >= self._room:
            raise RequestError(503, f"{self.waiting} requests wait already; send again later", {"Retry-After": "1"})
        self._inside += 1
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._inside -= 1
            raise
        stopped = threading.Event()
        with stoppable(stopped.is_set):
            work = asyncio.ensure_future(start(*arguments))
        work.add_done_callback(self._leave)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            while to_its_end and not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    def _leave(self, work: "asyncio.Future[Any]") -> None:
        self._inside -= 1
        self._free.release()
        if not work.cancelled():
            work.exception()  # which nobody may be there to hear
