"""Work that takes long, away from the event loop, a little of it side by side."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from tsad.errors import stoppable
from tsad.serving.errors import RequestError

T = TypeVar("T")

_LARGE = 1_000_000
"""Size in bytes above which bodies are worked on one after another: tables made of them take ten times as much memory."""


class ScoringExecutor:
    """Lets requests that score wait for their turn.

    Those with large bodies take turns among themselves first, so that they need the memory of one and leave the other
    threads to those with small ones.

    Args:
        most: Requests that are scored side by side, each on one thread.
        waiting: Requests that may wait; more are refused.
    """

    def __init__(self, most: int, waiting: int = 64) -> None:
        self._most = most
        self._room = most + waiting
        self._free = asyncio.Semaphore(most)
        self._large = asyncio.Semaphore(1)
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

    async def run(self, work: Callable[..., T], *arguments: Any, size: int = 0) -> T:
        """Returns what `work` returns, from a thread; raises `RequestError` if too many wait.

        Args:
            work: Work to do.
            arguments: Arguments of the work.
            size: Size in bytes of the body that it makes tables of.
        """
        return await self._run(work, *arguments, size=size, to_its_end=False)

    async def run_to_its_end(self, work: Callable[..., T], *arguments: Any, size: int = 0) -> T:
        """Returns what `run` does; if it is canceled, returns no sooner than the work has ended, which then uses nothing."""
        return await self._run(work, *arguments, size=size, to_its_end=True)

    async def _run(self, work: Callable[..., T], *arguments: Any, size: int, to_its_end: bool) -> T:

        def start() -> Awaitable[T]:
            context = copy_context()  # a pool does not pass it on
            return asyncio.get_running_loop().run_in_executor(self._threads, context.run, work, *arguments)

        return await self.take(start, size=size, to_its_end=to_its_end)

    async def take(
        self, start: Callable[..., Awaitable[T]], *arguments: Any, size: int = 0, to_its_end: bool = False
    ) -> T:
        """Returns what that returns which `start` starts, in its turn; raises `RequestError` if too many wait.

        If nobody waits for its answer any more, work ends at its next batch of windows, and keeps its place until then.
        """
        if self._inside >= self._room:
            raise RequestError(503, f"{self.waiting} requests wait already; send again later", {"Retry-After": "1"})
        self._inside += 1
        turns = (self._large, self._free) if size > _LARGE else (self._free,)
        await self._enter(turns)
        stopped = threading.Event()
        with stoppable(stopped.is_set):
            work = asyncio.ensure_future(start(*arguments))
        work.add_done_callback(lambda work: self._leave(work, turns))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            while to_its_end and not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    async def _enter(self, turns: Sequence[asyncio.Semaphore]) -> None:
        """Waits for one turn after the other; who hangs up meanwhile gives back those that it has."""
        entered: list[asyncio.Semaphore] = []
        try:
            for turn in turns:
                await turn.acquire()
                entered.append(turn)
        except asyncio.CancelledError:
            self._inside -= 1
            for turn in entered:
                turn.release()
            raise

    def _leave(self, work: "asyncio.Future[Any]", turns: Sequence[asyncio.Semaphore]) -> None:
        self._inside -= 1
        for turn in turns:
            turn.release()
        if not work.cancelled():
            work.exception()  # which nobody may be there to hear
