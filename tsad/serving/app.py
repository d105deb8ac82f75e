"""The HTTP service: MLflow's scoring server, scores that are explained, streams, searches and a page, behind one guard."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from safetensors import SafetensorError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from tsad.errors import TsadError, shown
from tsad.serving.access_log import AccessLog, AccessLogMiddleware
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import CODES, DESCRIBED, RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.health import Health
from tsad.serving.jobs import JOBS, JobLimits, JobRunner, Jobs
from tsad.serving.metrics import TEXT, MetricsMiddleware, ServiceMetrics
from tsad.serving.middleware import HeadMiddleware, SecurityMiddleware, SecurityPolicy
from tsad.serving.monitoring import OnRecalibration, RecentRows
from tsad.serving.requests import MOST_COLUMNS
from tsad.serving.routes.invocations import mlflow_routes
from tsad.serving.routes.jobs import job_routes, promotion_routes, search_routes
from tsad.serving.routes.scoring import model_routes, score_routes
from tsad.serving.routes.streams import stream_routes
from tsad.serving.row_sources import SourceRules
from tsad.serving.served_model import ServedModel
from tsad.serving.stream_sessions import StreamLimits, Streams, watch
from tsad.serving.tokens import Tokens

_log = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page")
_PAGE_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, eq=False)
class Dependencies:
    """Dependencies of the service on its environment.

    Attributes:
        state: Folder of everything that outlives the service.
        runner: Runner of searches.
        on_recalibration: Callback that gets the record of each recalibration.
        gate: Experiment whose rows decide about promotions; None if nothing can be promoted.
        sources: Rules about who may feed which source of rows.
    """

    state: Path
    runner: JobRunner
    on_recalibration: OnRecalibration
    gate: Path | None = None
    sources: SourceRules = field(default_factory=SourceRules)


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


def create_app(served: ServedModel, dependencies: Dependencies, rules: SecurityPolicy, limits: Limits) -> FastAPI:
    """Returns the ASGI application that serves a model; it must run in one process, which alone uses `dependencies.state`."""
    torch.set_num_threads(1)  # workers run side by side: more threads than cores starve each other
    counts, workers, log = ServiceMetrics(), ScoringExecutor(limits.workers), AccessLog(dependencies.state)
    recent = RecentRows(served, dependencies.state, dependencies.on_recalibration)
    streams = Streams(dependencies.state / "streams", lambda: served.detector, limits.streams)
    jobs = Jobs(dependencies.state / JOBS, dependencies.runner, limits.jobs)
    bodies = BodyLimits(limits.rows, max(MOST_COLUMNS, 2 * len(served.detector.scorer.features)), limits.cells)
    health = Health(dependencies.state, Tokens(path=rules.token_file), served.registry, log, lambda: streams.unreadable)
    _measure(counts, served, workers, streams, jobs)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch(streams, counts.silences.inc))
        yield
        watching.cancel()
        await jobs.close()
        served.registry.close()
        log.close()

    routers = (
        mlflow_routes(served, workers, bodies, health),
        model_routes(served),
        score_routes(served, workers, counts, recent, dependencies.sources, limits.rows),
        stream_routes(streams, workers, counts, recent, dependencies.sources, limits.rows),
        *_job_routes(jobs, served, dependencies, limits),
        _other_routes(counts),
    )
    app = FastAPI(
        title="tsad",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
        exception_handlers=_handlers([route for router in routers for route in router.routes]),
        responses=DESCRIBED,
        dependencies=[Depends(_known_query)],
    )
    for router in routers:
        app.include_router(router)
    _guard(app, replace(rules, bodies=bodies), limits, counts, log)
    return app


def _job_routes(jobs: Jobs, served: ServedModel, dependencies: Dependencies, limits: Limits) -> tuple[APIRouter, ...]:
    """Returns what starts jobs, and tells of them."""
    return (
        search_routes(jobs, dependencies.runner.read_progress, served, limits.wait, limits.rows),
        promotion_routes(jobs, served, dependencies.gate),
        job_routes(jobs),
    )


def _guard(app: FastAPI, rules: SecurityPolicy, limits: Limits, counts: ServiceMetrics, log: AccessLog) -> None:
    """Puts before the endpoints what every request passes, the last one first."""
    app.add_middleware(HeadMiddleware)
    app.add_middleware(SecurityMiddleware, rules=rules, patience={"/train_predict": limits.wait})
    app.add_middleware(MetricsMiddleware, counts=counts)
    app.add_middleware(AccessLogMiddleware, log=log)


async def _known_query(request: Request) -> None:
    """Raises `RequestError` if a request has a query parameter that its endpoint does not know."""
    known_names = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = sorted(set(request.query_params) - set(known_names))
    if unknown:
        raise RequestError(
            400, f"query parameters are {', '.join(known_names) or 'none'} here, but got {shown(unknown[0])}"
        )


def _measure(
    counts: ServiceMetrics, served: ServedModel, workers: ScoringExecutor, streams: Streams, jobs: Jobs
) -> None:
    source = served.source
    counts.model.labels(source.name or "", source.version or "", served.detector.scorer.kind).set(1)
    counts.measure("tsad_waiting_requests", "Requests that wait for their turn to be scored.", lambda: workers.waiting)
    counts.measure("tsad_open_streams", "Streams that are open.", lambda: streams.open_streams)
    counts.measure("tsad_silent_streams", "Streams that get no rows.", lambda: len(streams.silent()))
    counts.measure("tsad_queued_jobs", "Searches that wait for the one that runs.", lambda: jobs.queued)


Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def _handlers(ours: Sequence[BaseRoute]) -> dict[int | type[Exception], Handler]:
    """Returns how each kind of error becomes an answer of the same shape; `ours` are the routes that were included."""

    async def refused(request: Request, refusal: RequestError) -> Response:
        return Response(refusal.body(), refusal.status, refusal.headers)

    async def mistaken(request: Request, error: TsadError) -> Response:
        return await refused(request, RequestError(400, str(error)))

    async def invalid(request: Request, error: RequestValidationError) -> Response:
        mistakes = [
            f"{item['loc'][-1]}: {item['msg'].lower()}, but got {shown(item['input'])}" for item in error.errors()
        ]
        return await refused(request, RequestError(400, "; ".join(mistakes)))

    async def unknown(request: Request, error: HTTPException) -> Response:
        status, path = error.status_code if error.status_code in CODES else 400, shown(request.url.path)
        if status == 404:
            return await refused(request, RequestError(status, f"there is no {path}"))
        if status == 405:
            allowed = ", ".join(_methods([*request.app.routes, *ours], request.url.path))
            message = f"{path} does not take {request.method}; it takes {allowed}"
            return await refused(request, RequestError(status, message, {"Allow": allowed}))
        return await refused(request, RequestError(status, str(error.detail), error.headers))

    async def unwritten(request: Request, error: Exception) -> Response:
        _log.error("%s: %s", shown(request.url.path, 200), shown(str(error), 300))
        reason = getattr(error, "strerror", None) or "damaged, or the disk is full"
        message = f"the state of the service cannot be read or written ({reason}); nothing was changed, try again later"
        return await refused(request, RequestError(503, message, {"Retry-After": "60"}))

    return {
        RequestError: refused,
        TsadError: mistaken,
        RequestValidationError: invalid,
        HTTPException: unknown,
        OSError: unwritten,
        SafetensorError: unwritten,
    }


def _methods(routes: Iterable[BaseRoute], path: str) -> list[str]:
    """Returns the methods that a path takes; Starlette itself names those of the first route only."""
    taking = [route for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    methods = {method for route in taking for method in route.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _other_routes(counts: ServiceMetrics) -> APIRouter:
    """Returns the measures, the page and its files; no path of a request is looked for on the disk."""
    router = APIRouter(include_in_schema=False)
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in _PAGE_TYPES}

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(counts.text(), media_type=TEXT)

    @router.get("/")
    async def page() -> Response:
        return await page_file("index.html")

    @router.get("/page/{name}")
    async def page_file(name: str) -> Response:
        if name not in files:
            raise RequestError(404, f"there is no /page/{shown(name)}")
        return FileResponse(files[name], media_type=_PAGE_TYPES[files[name].suffix])

    return router
