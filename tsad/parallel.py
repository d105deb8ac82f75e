"""Tasks: one function over many inputs, side by side on Ray where it is installed, else one after the other."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import torch

from tsad.errors import DataError, TsadError
from tsad.ray_session import RayNeeds, ray_session

_logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Input = TypeVar("Input")
Result = TypeVar("Result")

_WAITING = 2
"""Number of tasks in flight for each that runs: enough that no worker waits for its rows, and no more in memory."""


@dataclass(frozen=True)
class TaskOptions:
    """Options of tasks that run side by side.

    Attributes:
        parallel: Number of tasks that run side by side, at least 1; None takes the cores of this machine or of the cluster of
            `RAY_ADDRESS`. With 1, and without a cluster, they run in this process.
        threads: Number of threads of a task on Ray.
        gpus: GPUs of a task, fractions too; 0 trains on the CPU.
    """

    parallel: int | None = None
    threads: int = 1
    gpus: float = 0

    @property
    def on_ray(self) -> bool:
        """Whether tasks run on Ray: it is installed, and there is more than one at a time or a cluster."""
        return find_spec("ray") is not None and (bool(os.environ.get("RAY_ADDRESS")) or self.side_by_side > 1)

    @property
    def side_by_side(self) -> int:
        """Number of tasks that run side by side on this machine."""
        if self.parallel is not None:
            return self.parallel
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class TaskEnded(Generic[Key, Result]):
    """Result of a task, or the reason why there is none.

    Attributes:
        key: Key of the task.
        result: Result; None if the task failed.
        error: Type and message of the first error, in one line; empty if there is a result.
    """

    key: Key
    result: Result | None
    error: str = ""


def run_tasks(
    function: Callable[[Input], Result], inputs: Iterable[tuple[Key, Callable[[], Input]]], options: TaskOptions
) -> Iterator[TaskEnded[Key, Result]]:
    """Yields how each task ended, in the order of ends; a task that fails does not stop the others.

    Inputs are made one by one in this process, shortly before their task starts, and few are in memory at a time. What an input
    or a task raises is the error of that task alone; a worker that dies is replaced, and its task tried twice more.

    Args:
        function: Function of a module, which workers import; it must not write to a tracking store.
        inputs: Key of each task, and the function that makes its input.
        options: How many tasks run side by side, and on what.
    """
    if options.on_ray:
        yield from _on_ray(function, inputs, options)
        return
    for key, make in inputs:
        yield _ended(key, lambda make=make: function(make()))  # type: ignore[misc]


def _ended(key: Key, call: Callable[[], Result]) -> TaskEnded[Key, Result]:
    try:
        return TaskEnded(key, call())
    except Exception as error:  # whatever it is: the other tasks go on, and this one is named with its cause
        return TaskEnded(key, None, _cause(key, error))


def _cause(key: object, error: BaseException) -> str:
    if not isinstance(error, TsadError):
        _logger.debug("task %s failed", key, exc_info=error)
    kind = DataError if isinstance(error, DataError) else type(error)  # its subclasses mean something to the code only
    return f"{kind.__name__}: {' '.join(str(error).split())}"[:2000]


def _on_ray(
    function: Callable[[Input], Result], inputs: Iterable[tuple[Key, Callable[[], Input]]], options: TaskOptions
) -> Iterator[TaskEnded[Key, Result]]:
    import ray

    needs = RayNeeds(options.side_by_side * options.threads, options.threads, options.gpus)
    with ray_session(needs):
        cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        limit = _WAITING * (options.parallel or max(1, cores // options.threads))
        remote: Any = ray.remote(num_cpus=options.threads, num_gpus=options.gpus, max_retries=2)(_call)
        running: dict[Any, Key] = {}
        waiting = iter(inputs)
        failed: deque[TaskEnded[Key, Result]] = deque()
        while True:
            while len(running) < limit and (following := next(waiting, None)) is not None:
                key, make = following
                submitted = _ended(key, lambda make=make: remote.remote(function, make(), options.threads))  # type: ignore[misc]
                if submitted.error:
                    failed.append(TaskEnded(key, None, submitted.error))
                    break
                running[submitted.result] = key
            while failed:
                yield failed.popleft()
            if running:
                reference = ray.wait(list(running), num_returns=1)[0][0]
                key = running.pop(reference)
                yield _received(key, reference)
                del reference  # its result leaves the object store
            elif following is None:
                return


def _call(function: Callable[[Input], Result], task_input: Input, threads: int) -> tuple[Any, str]:
    """Returns the result of a task in a worker and no error, or the error; errors are text, so that none must be sent."""
    torch.set_num_threads(threads)
    ended = _ended("", lambda: function(task_input))
    return ended.result, ended.error


def _received(key: Key, reference: Any) -> TaskEnded[Key, Result]:
    import ray

    ended = _ended(key, lambda: ray.get(reference))  # raises if the worker died, of memory for example
    if ended.result is None:
        return TaskEnded(key, None, ended.error)
    result, error = ended.result
    return TaskEnded(key, None if error else result, error)
