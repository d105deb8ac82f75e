"""`/api/streams`: rows as they come."""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response

from tsad.serving.access import BEARER
from tsad.serving.executor import ScoringExecutor
from tsad.serving.live_model import Deployment
from tsad.serving.metrics import ServiceMetrics
from tsad.serving.models_in_service import ModelsInService
from tsad.serving.requests import JSON, media_type, read_push, read_spec, request_body
from tsad.serving.responses import alarms_in
from tsad.serving.routes.mounts import Mount
from tsad.serving.row_sources import PRODUCTION, SourceRules
from tsad.serving.stream_sessions import NewStream, StreamSession
from tsad.streaming import StreamPolicy

_NEW = {
    "type": "object",
    "properties": {
        "policy": StreamPolicy.model_json_schema(),
        "source": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
        "entity": {"type": "string", "maxLength": 1000},
    },
    "additionalProperties": False,
}
_PUSH = {
    "type": "object",
    "required": ["rows"],
    "properties": {
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "after": {"type": "integer", "minimum": 0},
    },
    "additionalProperties": False,
}


def stream_routes(
    models: ModelsInService,
    mount: Mount,
    workers: ScoringExecutor,
    counts: ServiceMetrics,
    sources: SourceRules,
    most_rows: int,
) -> APIRouter:
    """Returns what opens, feeds and ends streams."""
    router = mount.router("streams", "/streams")

    @router.post("", status_code=201, openapi_extra=request_body({JSON: _NEW}, required=False))
    async def begin(request: Request) -> Any:
        """Opens a stream, of a fleet for the rows of one entity."""
        streams = models.of(request).streams
        content = await request.body()
        if content:
            media_type(request.headers.get("content-type"), (JSON,))
        bearer = request.scope[BEARER]

        def work() -> dict[str, Any]:
            new = read_spec(NewStream, content)
            return streams.begin(new, sources.source(new.source, bearer, PRODUCTION))

        return await asyncio.to_thread(work)

    @router.get("/{number}")
    async def describe(number: str, request: Request) -> Any:
        """Returns the number of rows of a stream, and its policy."""
        streams = models.of(request).streams
        async with streams.filled(number) as session:
            return await asyncio.to_thread(streams.describe, session)

    @router.delete("/{number}", status_code=204)
    async def remove(number: str, request: Request) -> None:
        """Ends a stream."""
        streams = models.of(request).streams
        async with streams.filled(number) as session:
            await asyncio.to_thread(streams.remove, session)

    router.include_router(_push_route(models, workers, counts, sources, most_rows))
    return router


def _push_route(
    models: ModelsInService,
    workers: ScoringExecutor,
    counts: ServiceMetrics,
    sources: SourceRules,
    most_rows: int,
) -> APIRouter:
    router = APIRouter()

    @router.post("/{number}/rows", openapi_extra=request_body({JSON: _PUSH}))
    async def push(number: str, request: Request) -> Response:
        """Takes rows in, and answers with the scores that are final now; the state is on the disk by then."""
        model = models.of(request)
        streams, live = model.streams, model.live
        media_type(request.headers.get("content-type"), (JSON,))
        content, bearer = await request.body(), request.scope[BEARER]

        def work(session: StreamSession) -> tuple[bytes, Deployment]:
            deployment = live.current  # not sooner: the one who had the stream before may have moved it
            detectors = deployment.served.detectors
            origin = streams.origin(session, detectors)
            source = sources.source(origin.source, bearer, PRODUCTION)
            series, after = read_push(content, detectors.features, most_rows)
            answer, scored = streams.push(session, series.values, series.times, after, detectors)
            deployment.recent(origin.entity).take(series.values, scored.scores, scored.flags, source)
            rows = len(scored) - answer["score"].count(None)
            alarms = alarms_in(scored.flags, before=session.is_alarmed)
            session.is_alarmed = bool(scored.flags[-1]) if len(scored) else session.is_alarmed
            counts.scored(model.name, "/api/streams/{number}/rows", rows, sum(answer["flag"]), alarms, source)
            return json.dumps(answer).encode(), deployment

        async with streams.filled(number) as session:
            content, deployment = await workers.run_to_its_end(work, session, size=len(content))
            return Response(content, headers=deployment.headers, media_type=JSON)

    return router
