"""Searches that the service runs, one after another, each in a process and a folder of its own."""

import asyncio
import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from tsad.selection.trial import Candidate, Trial
from tsad.serving.errors import RequestError
from tsad.tuning.space import Space, param_values

State = Literal["queued", "running", "finished", "failed", "cancelled"]

ProgressReader = Callable[[Path], Sequence[tuple[Candidate, Trial | None]]]
"""Returns the candidates that a search in the folder has proposed so far, each with its trial if that has ended."""

JOBS = "jobs"
"""Name of the folder of all jobs in the state folder."""
SPACE, LOG, OUTPUTS = "space.yaml", "search.log", "outputs"
_KEPT = 50
"""Jobs that have ended and can still be asked for."""


@dataclass(frozen=True, eq=False)
class JobRunner:
    """Resources of a search.

    Attributes:
        words: Words of the command, which is run in the folder of the job, where `space.yaml` lies.
        environment: Environment variables of the command; `TSAD_OUTPUT_DIR` is added.
        read_progress: Reads how far it is.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    read_progress: ProgressReader


@dataclass(frozen=True, eq=False)
class JobSpec:
    """Task of a job.

    Attributes:
        kind: For people: `search`, `train_predict` or `promotion`.
        space: The search space, as plain values; files that it names lie beside it. Empty for what is no search.
        prepare: Writes those files into the folder.
        conclude: Makes the result out of the folder of a job that came to its end.
        command: Words that are run instead of the runner's, in the working folder of the service; None for a search.
    """

    kind: str
    space: Mapping[str, Any]
    prepare: Callable[[Path], None]
    conclude: Callable[[Path], Mapping[str, Any]]
    command: Sequence[str] | None = None

    @property
    def trials(self) -> int:
        """Number of candidates that it tries; 0 for what is no search."""
        return int(self.space["search"]["trials"]) if self.space else 0

    @property
    def goes_first(self) -> bool:
        """Whether it runs before the searches that wait, and has a queue of its own length."""
        return self.command is not None

    @cached_property
    def search_space(self) -> Space:
        """Space of its candidates, by which hyperparameters are shown."""
        return Space({name: section for name, section in self.space.items() if name != "search"})


@dataclass(eq=False)
class Job:
    """A task and what became of it."""

    id: str
    task: JobSpec
    folder: Path
    state: State = "queued"
    began: float | None = None
    seconds: float = 0.0
    result: Mapping[str, Any] | None = None
    error: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    supervisor: asyncio.StreamWriter | None = None
    client: str = ""
    turn: int = 0
    last_progress: Mapping[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and its process with it."""
        return self.ended.is_set() and self.supervisor is None

    @property
    def left_queue(self) -> bool:
        """Whether it ended before it began."""
        return self.ended.is_set() and self.began is None


@dataclass(frozen=True)
class JobLimits:
    """Limits of jobs.

    Attributes:
        queued: Jobs of one client that may wait; more are refused.
        seconds: Largest duration of a job in seconds.
        queued_together: Jobs of all clients that may wait.
    """

    queued: int = 8
    seconds: float = 3600.0
    queued_together: int = 64


class Jobs:
    """Runs one job at a time, of each client in turn.

    Jobs live as long as this process: their folders are emptied when it starts again.

    Args:
        folder: Folder of the jobs; its content is removed.
        runner: Runs each of them.
        limits: How many, how long.
    """

    def __init__(self, folder: Path, runner: JobRunner, limits: JobLimits) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._runner = runner
        self._limits = limits
        self._jobs: dict[str, Job] = {}
        self._running: asyncio.Task[None] | None = None
        self.on_end: Callable[[str, str], None] = lambda kind, state: None

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._waiting())

    @property
    def running(self) -> int:
        """Jobs that run."""
        return sum(job.state == "running" for job in list(self._jobs.values()))

    def submit(self, task: JobSpec, client: str = "") -> Job:
        """Returns the job of a task, which begins in its turn.

        Args:
            task: Task of the job.
            client: Whose job it is. Clients take turns: who has many jobs does not keep out who has one.

        Raises:
            RequestError: if too many wait, of this client or of all.
        """
        ahead = [job for job in self._waiting() if job.task.goes_first == task.goes_first]
        own = sum(job.client == client for job in ahead)
        if own >= self._limits.queued:
            message = f"{own} jobs wait already, no more may of one client; ask again later"
            raise RequestError(429, message, {"Retry-After": "60"})
        if len(ahead) >= self._limits.queued_together:
            message = f"{len(ahead)} jobs of all clients wait already, no more may; ask again later"
            raise RequestError(429, message, {"Retry-After": "60"})
        number = uuid.uuid4().hex
        job = self._jobs[number] = Job(number, task, self._folder / number, client=client, turn=self._turn(client))
        self._forget()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all())
        return job

    def find(self, number: str) -> Job:
        """Returns a job; raises `RequestError` if there is none of that id."""
        job = self._jobs.get(number)
        if job is None:
            raise RequestError(
                404, f"there is no job {number[:40]!r}; a service that was restarted has forgotten its jobs"
            )
        return job

    def cancel(self, job: Job, reason: str = "somebody cancelled it") -> None:
        """Ends a job that has not ended, for a reason; one that runs is given a little time for it."""
        if job.state in {"queued", "running"}:
            self._end(job, "cancelled", error=reason)
        if job.supervisor is not None:
            job.supervisor.close()

    async def close(self) -> None:
        """Cancels all jobs and waits for the end of the one that runs."""
        for job in self._jobs.values():
            self.cancel(job)
        if self._running is not None:
            await self._running

    def described(self, job: Job, root: str = "") -> dict[str, Any]:
        """Returns what `/api/jobs/ID` answers, to who reaches the service below the path `root`."""
        waiting = self._waiting()
        return {
            "id": job.id,
            "kind": job.task.kind,
            "state": job.state,
            "url": f"{root}/api/jobs/{job.id}",
            "position": waiting.index(job) + 1 if job in waiting else 0,
            "seconds": round(
                job.seconds if job.ended.is_set() or job.began is None else time.monotonic() - job.began, 1
            ),
            "progress": self._progress(job),
            "result": job.result,
            "error": job.error,
        }

    def all(self, root: str = "") -> list[dict[str, Any]]:
        """Returns what `/api/jobs` answers, the newest first: each job without its trials and its result."""
        return [_summary(self.described(job, root)) for job in reversed(list(self._jobs.values()))]

    def _progress(self, job: Job) -> Mapping[str, Any]:
        """Returns how far a job is; what is over is read once."""
        if job.last_progress is not None:
            return job.last_progress
        is_over = job.is_over
        progress = _progress(self._runner.read_progress(job.folder), job.task)
        if is_over:
            job.last_progress = progress
        return progress

    def _waiting(self) -> list[Job]:
        """Returns the jobs that wait, in the order in which they would run."""
        waiting = [job for job in list(self._jobs.values()) if job.state == "queued"]
        return sorted(waiting, key=lambda job: (not job.task.goes_first, job.turn))

    def _turn(self, client: str) -> int:
        """Returns the turn of a client's next job: after their others, and not before the job that began last.

        Jobs of one turn run in the order in which they came. So a client that comes anew waits for at most one job of each
        other client, and none waits for ever.
        """
        jobs = self._jobs.values()
        own = (job.turn + 1 for job in jobs if job.client == client and not job.left_queue)
        return max([*own, *(job.turn for job in jobs if job.began is not None)], default=0)

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.is_over]
        for job in ended[: max(0, len(ended) - _KEPT)]:
            del self._jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)

    async def _run_all(self) -> None:
        while waiting := self._waiting():
            job = waiting[0]
            job.state, job.began = "running", time.monotonic()
            try:
                await self._run(job)
            except Exception as error:  # a task that cannot be prepared or concluded ends its job and no other
                self._end(job, "failed", error=f"{type(error).__name__}: {error}")

    async def _run(self, job: Job) -> None:
        await asyncio.to_thread(_prepare, job)
        command = job.task.command
        words = (sys.executable, "-m", "tsad.serving.child_supervisor", *(command or self._runner.words))
        with (job.folder / LOG).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=None if command else job.folder,
                env={**self._runner.environment, "TSAD_OUTPUT_DIR": str(job.folder / OUTPUTS)},
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        job.supervisor = process.stdin
        if job.state == "cancelled" and job.supervisor is not None:
            job.supervisor.close()
        try:
            status = await asyncio.wait_for(process.wait(), self._limits.seconds)
        except TimeoutError:
            self._end(job, "failed", error=f"a job must end within {self._limits.seconds:g} s; try fewer candidates")
            self.cancel(job)
            status = await process.wait()
        job.supervisor = None
        result = None if status else await asyncio.to_thread(job.task.conclude, job.folder)
        if job.state != "running":
            return
        if status:
            self._end(job, "failed", error=_last_line(job.folder / LOG))
        else:
            self._end(job, "finished", result=result)

    def _end(
        self, job: Job, state: State, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        job.seconds = 0.0 if job.began is None else time.monotonic() - job.began
        job.state, job.result, job.error = state, result, error
        job.ended.set()
        self.on_end(job.task.kind, state)


def _prepare(job: Job) -> None:
    job.folder.mkdir(parents=True)
    job.task.prepare(job.folder)
    values = json.loads(json.dumps(job.task.space))
    (job.folder / SPACE).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def _progress(seen: Sequence[tuple[Candidate, Trial | None]], task: JobSpec) -> dict[str, Any]:
    space = task.search_space
    values = [trial.value for _, trial in seen if trial is not None and trial.value is not None]
    return {
        "done": sum(trial is not None for _, trial in seen),
        "total": task.trials,
        "best": max(values, default=None),
        "trials": [
            {
                "name": candidate.name,
                "state": "running" if trial is None else trial.state,
                "value": trial and trial.value,
                "params": param_values(candidate.params, space),
            }
            for candidate, trial in seen
        ],
    }


def _summary(described: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a job without what may be long."""
    progress = {name: value for name, value in described["progress"].items() if name != "trials"}
    return {name: value for name, value in described.items() if name != "result"} | {"progress": progress}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "the search ended without a word")
