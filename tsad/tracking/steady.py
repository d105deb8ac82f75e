"""A client of a database whose calls come to their end although the command is interrupted."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from mlflow import MlflowClient

_Call = tuple["Future[Any]", Callable[[], Any]]


class _Steady:
    """Makes each call of a client in one thread of its own, in the order of calls."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not callable(value) or threading.current_thread() is self._thread:
            return value

        def call(*values: Any, **options: Any) -> Any:
            future: Future[Any] = Future()
            self._calls.put((future, lambda: value(*values, **options)))
            return future.result()

        return call

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del future, call  # with the traceback of an error, which may hold a connection


def steady(client: MlflowClient) -> MlflowClient:
    """Returns a client that works as the given one, and cannot be interrupted inside a transaction.

    Signals interrupt the main thread only. Inside a call they would leave a transaction open as long as their traceback lives,
    and SQLite locked for the calls that end the runs. An interrupted caller gets its `KeyboardInterrupt` at once; the
    call that it waited for comes to its end before the next one begins.
    """
    return cast("MlflowClient", _Steady(client))
