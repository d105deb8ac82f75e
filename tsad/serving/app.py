"""The HTTP service: MLflow's scoring server, scores that are explained, streams, searches and a page, behind one guard."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
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
from tsad.serving.access_log import AccessLogMiddleware
from tsad.serving.encoding import EncodingMiddleware
from tsad.serving.errors import CODES, DESCRIBED, RequestError
from tsad.serving.memory import bound_heaps
from tsad.serving.metrics import TEXT, MetricsMiddleware, ServiceMetrics
from tsad.serving.middleware import HeadMiddleware, SecurityMiddleware, SecurityPolicy
from tsad.serving.models_in_service import ModelToServe
from tsad.serving.proxies import ProxyMiddleware
from tsad.serving.routes.health import health_routes
from tsad.serving.routes.invocations import invocation_routes, mlflow_routes
from tsad.serving.routes.jobs import job_routes, promotion_routes, search_routes, train_predict_routes
from tsad.serving.routes.mounts import MOUNTS
from tsad.serving.routes.scoring import drift_routes, list_routes, model_routes, score_routes
from tsad.serving.routes.streams import stream_routes
from tsad.serving.routes.webhooks import webhook_routes
from tsad.serving.service_parts import Dependencies, Limits, ServiceParts

_log = logging.getLogger(__name__)

__all__ = ["Dependencies", "Limits", "ModelToServe", "create_app"]

PAGE = Path(__file__).with_name("page")
_PAGE_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def create_app(
    models: Sequence[ModelToServe], dependencies: Dependencies, rules: SecurityPolicy, limits: Limits
) -> FastAPI:
    """Returns the ASGI application that serves models; it must run in one process, which alone uses `dependencies.state`."""
    torch.set_num_threads(1)  # workers run side by side: more threads than cores starve each other
    bound_heaps()
    parts = ServiceParts(models, dependencies, rules, limits)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with parts.life():
            yield

    routers = _routers(parts, dependencies, limits)
    app = FastAPI(
        title="tsad",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
        exception_handlers=_handlers([route for router in routers for route in router.routes]),
        responses=DESCRIBED,
        dependencies=[Depends(_known_query)],
        servers=[{"url": rules.proxies.root_path}] if rules.proxies.root_path else None,
    )
    for router in routers:
        app.include_router(router)
    _guard(app, replace(rules, bodies=parts.bodies), limits, parts)
    return app


def _routers(parts: ServiceParts, dependencies: Dependencies, limits: Limits) -> list[APIRouter]:
    models, workers, counts, sources = parts.models, parts.workers, parts.counts, dependencies.sources
    routers = [
        mlflow_routes(models),
        health_routes(parts.health, workers),
        list_routes(models),
        webhook_routes(dependencies.webhook_secret, models.wake if models.follows else None),
        train_predict_routes(parts.jobs, dependencies.runner.read_progress, limits.wait),
        job_routes(parts.jobs),
        _other_routes(counts),
    ]
    for mount in MOUNTS:
        routers += [
            invocation_routes(models, mount, workers, parts.bodies),
            model_routes(models, mount),
            score_routes(models, mount, workers, counts, sources, limits.rows),
            drift_routes(models, mount, workers),
            stream_routes(models, mount, workers, counts, sources, limits.rows),
            search_routes(models, mount, parts.jobs, limits.rows),
            promotion_routes(models, mount, parts.jobs, dependencies.gate),
        ]
    return routers


def _guard(app: FastAPI, rules: SecurityPolicy, limits: Limits, parts: ServiceParts) -> None:
    """Puts before the endpoints what every request passes, the last one first."""
    app.add_middleware(HeadMiddleware)
    app.add_middleware(EncodingMiddleware)
    app.add_middleware(SecurityMiddleware, rules=rules, patience={"/train_predict": limits.wait})
    app.add_middleware(MetricsMiddleware, counts=parts.counts)
    app.add_middleware(AccessLogMiddleware, log=parts.log)
    app.add_middleware(ProxyMiddleware, rules=rules.proxies)


async def _known_query(request: Request) -> None:
    """Raises `RequestError` if a request has a query parameter that its endpoint does not know."""
    known_names = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = sorted(set(request.query_params) - set(known_names))
    if unknown:
        raise RequestError(
            400, f"query parameters are {', '.join(known_names) or 'none'} here, but got {shown(unknown[0])}"
        )


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
        return Response(await asyncio.to_thread(counts.text), media_type=TEXT)

    @router.get("/")
    async def page() -> Response:
        return await page_file("index.html")

    @router.get("/page/{name}")
    async def page_file(name: str) -> Response:
        if name not in files:
            raise RequestError(404, f"there is no /page/{shown(name)}")
        return FileResponse(files[name], media_type=_PAGE_TYPES[files[name].suffix])

    return router
