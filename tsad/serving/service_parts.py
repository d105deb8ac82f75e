"""Parts of the service that live as long as it: the model, streams, jobs, workers, logs, measures."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tsad.serving.access_log import AccessLog
from tsad.serving.body_limits import BodyLimits
from tsad.serving.champion_watch import ChampionWatch, Following
from tsad.serving.executor import ScoringExecutor
from tsad.serving.health import Health
from tsad.serving.jobs import JOBS, JobLimits, JobRunner, Jobs
from tsad.serving.live_model import Deployment, LiveModel, deploy
from tsad.serving.metrics import ServiceMetrics
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.model_metrics import ModelMetrics
from tsad.serving.monitoring import OnRecalibration, RecentRows
from tsad.serving.requests import MOST_COLUMNS
from tsad.serving.row_sources import SourceRules
from tsad.serving.served_model import ServedModel
from tsad.serving.stream_sessions import StreamLimits, Streams, watch
from tsad.serving.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Dependencies:
    """Dependencies of the service on its environment.

    Attributes:
        state: Folder of everything that outlives the service.
        runner: Runner of searches.
        on_recalibration: Callback that gets the record of each recalibration.
        gate: Experiment whose rows decide about promotions; None if nothing can be promoted.
        sources: Rules about who may feed which source of rows.
        following: The alias that is followed; None if the model stays what it is.
        webhook_secret: Secret of MLflow's webhooks; None takes none.
    """

    state: Path
    runner: JobRunner
    on_recalibration: OnRecalibration
    gate: Path | None = None
    sources: SourceRules = field(default_factory=SourceRules)
    following: Following | None = None
    webhook_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes:
        rows: Largest number of rows of a request.
        workers: Requests that are scored side by side, each on one thread.
        wait: Seconds that `/train_predict` waits for its search before it answers with a job.
        jobs: Limits of searches.
        streams: Limits of streams.
        cells: Largest number of cells of a request.
    """

    rows: int = 100_000
    workers: int = 2
    wait: float = 240.0
    jobs: JobLimits = field(default_factory=JobLimits)
    streams: StreamLimits = field(default_factory=StreamLimits)
    cells: int = 2_000_000


class ServiceParts:
    """The parts of one service, made of a model and of what it depends on.

    Args:
        served: Model that is served first.
        dependencies: Environment of the service.
        rules: What is let through.
        limits: Limits of the service.
    """

    def __init__(self, served: ServedModel, dependencies: Dependencies, rules: SecurityPolicy, limits: Limits) -> None:
        state = dependencies.state

        def deployed(model: ServedModel) -> Deployment:
            return deploy(model, RecentRows(model, state, dependencies.on_recalibration))

        self.live = LiveModel(deployed(served))
        following = dependencies.following
        self.watch = None if following is None else ChampionWatch(self.live, following, deployed)
        self.counts, self.workers, self.log = ServiceMetrics(), ScoringExecutor(limits.workers), AccessLog(state)
        self.streams = Streams(state / "streams", lambda: self.live.detector, limits.streams, model=served.source.name)
        self.jobs = Jobs(state / JOBS, dependencies.runner, limits.jobs)
        self.bodies = BodyLimits(limits.rows, max(MOST_COLUMNS, 2 * len(served.detector.scorer.features)), limits.cells)
        self.health = Health(
            state,
            Tokens(path=rules.token_file),
            served.registry,
            self.log,
            lambda: self.streams.unreadable,
            self.live.problems,
        )
        self._measure()

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Runs what goes on beside the requests, until the service ends."""
        tasks = [asyncio.create_task(watch(self.streams, self.counts.silences.inc))]
        if self.watch is not None:
            tasks.append(asyncio.create_task(self.watch.run()))
        yield
        for task in tasks:
            task.cancel()
        if self.watch is not None:
            self.watch.close()
        await self.jobs.close()
        self.live.registry.close()
        self.log.close()

    def _measure(self) -> None:
        counts, live, streams, jobs = self.counts, self.live, self.streams, self.jobs
        live.on_swap = self._tell_model
        self._tell_model()
        jobs.on_end = lambda kind, state: counts.jobs.labels(kind, state).inc()
        counts.collect(ModelMetrics(live).collect)
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "tsad_waiting_requests": ("Requests that wait for their turn to be scored.", lambda: self.workers.waiting),
            "tsad_open_streams": ("Streams that are open.", lambda: streams.open_streams),
            "tsad_silent_streams": ("Streams that get no rows.", lambda: len(streams.silent())),
            "tsad_damaged_streams": ("Streams whose state cannot be read.", lambda: streams.unreadable),
            "tsad_queued_jobs": ("Jobs that wait for the one that runs.", lambda: jobs.queued),
            "tsad_running_jobs": ("Jobs that run.", lambda: jobs.running),
            "tsad_healthy": ("1 if /health knows no problem.", lambda: not any(vars(self.health.problems()).values())),
        }
        for name, (meaning, read) in gauges.items():
            counts.measure(name, meaning, read)

    def _tell_model(self) -> None:
        source = self.live.source
        self.counts.model.clear()
        self.counts.model.labels(source.name or "", source.version or "", self.live.detector.scorer.kind).set(1)
