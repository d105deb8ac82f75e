"""Parts of the service that live as long as it: the models, streams, jobs, workers, logs, measures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tsad.detector.loaded import MOST as MOST_DETECTORS
from tsad.serving.access_log import AccessLog
from tsad.serving.body_limits import BodyLimits
from tsad.serving.executor import ScoringExecutor
from tsad.serving.health import Health
from tsad.serving.jobs import JOBS, JobLimits, JobRunner, Jobs
from tsad.serving.metrics import ServiceMetrics
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.model_metrics import ModelMetrics, collect_all
from tsad.serving.models_in_service import ModelInService, ModelsInService, ModelToServe
from tsad.serving.monitoring import OnRecalibration
from tsad.serving.requests import MOST_COLUMNS
from tsad.serving.row_sources import SourceRules
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
        webhook_secret: Secret of MLflow's webhooks; None takes none.
    """

    state: Path
    runner: JobRunner
    on_recalibration: OnRecalibration
    gate: Path | None = None
    sources: SourceRules = field(default_factory=SourceRules)
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
        detectors: Largest number of detectors whose recent rows are in memory.
    """

    rows: int = 100_000
    workers: int = 2
    wait: float = 240.0
    jobs: JobLimits = field(default_factory=JobLimits)
    streams: StreamLimits = field(default_factory=StreamLimits)
    cells: int = 2_000_000
    detectors: int = MOST_DETECTORS


class ServiceParts:
    """The parts of one service, made of its models and of what it depends on.

    Args:
        models: Models that are served, the one for routes that name none first.
        dependencies: Environment of the service.
        rules: What is let through.
        limits: Limits of the service.
    """

    def __init__(
        self, models: Sequence[ModelToServe], dependencies: Dependencies, rules: SecurityPolicy, limits: Limits
    ) -> None:
        state = dependencies.state
        self.models = ModelsInService(
            [ModelInService(model, limits.streams, limits.detectors, dependencies.on_recalibration) for model in models]
        )
        self.counts, self.workers, self.log = ServiceMetrics(), ScoringExecutor(limits.workers), AccessLog(state)
        self.jobs = Jobs(state / JOBS, dependencies.runner, limits.jobs)
        widest = max(len(model.served.features) for model in models)
        self.bodies = BodyLimits(limits.rows, max(MOST_COLUMNS, 2 * widest), limits.cells)
        self.health = Health(
            state,
            Tokens(path=rules.token_file),
            self.models.failure,
            self.log,
            lambda: self.models.unreadable_streams,
            self.models.problems,
        )
        self._measure()

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Runs what goes on beside the requests, until the service ends."""
        silences = self.counts.silences
        tasks = [
            *(asyncio.create_task(watch(model.streams, silences.labels(model.name).inc)) for model in self.models),
            *self.models.watches(),
        ]
        yield
        for task in tasks:
            task.cancel()
        for model in self.models:
            if model.watch is not None:
                model.watch.close()
        await self.jobs.close()
        for model in self.models:
            model.close()
        self.log.close()

    def _measure(self) -> None:
        counts, jobs = self.counts, self.jobs
        for model in self.models:
            model.live.on_swap = self._tell_models
            for name, read in _stream_measures(model.streams).items():
                counts.measure_model(model.name, name, read)
        self._tell_models()
        measures = [ModelMetrics(model.name, model.live) for model in self.models]
        counts.collect(lambda: collect_all(measures))
        jobs.on_end = lambda kind, state: counts.jobs.labels(kind, state).inc()
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "tsad_waiting_requests": ("Requests that wait for their turn to be scored.", lambda: self.workers.waiting),
            "tsad_queued_jobs": ("Jobs that wait for the one that runs.", lambda: jobs.queued),
            "tsad_running_jobs": ("Jobs that run.", lambda: jobs.running),
            "tsad_healthy": ("1 if /health knows no problem.", lambda: not any(vars(self.health.problems()).values())),
        }
        for name, (meaning, read) in gauges.items():
            counts.measure(name, meaning, read)

    def _tell_models(self) -> None:
        self.counts.model.clear()
        for model in self.models:
            source = model.live.source
            labels = (model.name, source.name or "", source.version or "", model.live.detectors.kind)
            self.counts.model.labels(*labels).set(1)


def _stream_measures(streams: Streams) -> dict[str, Callable[[], float]]:
    return {
        "tsad_open_streams": lambda: streams.open_streams,
        "tsad_silent_streams": lambda: len(streams.silent()),
        "tsad_damaged_streams": lambda: streams.unreadable,
    }
