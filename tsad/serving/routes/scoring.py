"""`/api` and `/api/models/NAME`: the models, series to try it on, scores, drift."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tsad.errors import shown
from tsad.serving.access import BEARER
from tsad.serving.entity_bodies import body_rows
from tsad.serving.errors import RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.metrics import ServiceMetrics
from tsad.serving.models_in_service import ModelsInService
from tsad.serving.proxies import ROOT
from tsad.serving.requests import CSV, JSON, ROWS_SCHEMA, Body, media_type, request_body
from tsad.serving.responses import alarms_in, judge
from tsad.serving.routes.mounts import Mount
from tsad.serving.row_sources import PRODUCTION, TRIAL, SourceRules

_TITLES = {"sample": "Rows that the model was tested on", "synthetic": "Generated rows with anomalies"}


def list_routes(models: ModelsInService) -> APIRouter:
    """Returns what lists the models of the service."""
    router = APIRouter(tags=["model"])

    @router.get("/api/models")
    async def all_models(request: Request) -> Any:
        """The models of the service, the one for paths that name none first."""
        return [model.described(request.scope[ROOT]) for model in models]

    return router


def model_routes(models: ModelsInService, mount: Mount) -> APIRouter:
    """Returns what tells about a model."""
    router = mount.router("model")

    @router.get("/model")
    async def model(request: Request, entity: str | None = None) -> Any:
        """The model in service, the version before it, and one that is on its way; of a fleet also an entity's detector."""
        return await asyncio.to_thread(models.of(request).live.card, entity)

    @router.get("/versions")
    async def versions(request: Request, response: Response) -> Any:
        """The versions of the registered model, newest first; with the header Age if the tracking server is away."""
        listed, age = await asyncio.to_thread(models.of(request).live.served.versions)
        if age:
            response.headers["Age"] = str(age)
        return listed

    @router.get("/series")
    async def all_series(request: Request) -> Any:
        """The series that the service has."""
        served = models.of(request).live.served
        tables = {name: await asyncio.to_thread(served.series, name) for name in served.series_names()}
        return [{"name": name, "rows": len(table), "title": _TITLES[name]} for name, table in tables.items()]

    @router.get("/series/{name}")
    async def series(name: str, request: Request) -> Any:
        """The rows of a series; of a fleet those of one entity, which is named."""
        served = models.of(request).live.served
        if name not in served.series_names():
            raise RequestError(404, f"there is no series {shown(name)}; there are {', '.join(served.series_names())}")
        table = await asyncio.to_thread(served.series, name)
        features = list(served.features)
        timed = "time" in table.columns and "time" not in features
        answer = {
            "columns": features,
            "rows": table[features].to_numpy().tolist(),
            "times": table["time"].astype(str).tolist() if timed else None,
        }
        entity = await asyncio.to_thread(lambda: served.example_entity)
        return answer if entity is None else answer | {"entity": entity}

    return router


def score_routes(
    models: ModelsInService,
    mount: Mount,
    workers: ScoringExecutor,
    counts: ServiceMetrics,
    sources: SourceRules,
    most_rows: int,
) -> APIRouter:
    """Returns what scores whole series."""
    router = mount.router("score")

    @router.post("/score", openapi_extra=request_body({JSON: ROWS_SCHEMA, CSV: {"type": "string"}}))
    async def score(
        request: Request,
        threshold: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        top: Annotated[int, Query(ge=0, le=100)] = 3,
        source: str | None = None,
        entity: str | None = None,
    ) -> Response:
        """Scores, flags and explained events of rows, oldest first, as CSV with a header row or as JSON.

        Rows of a fleet are of the entity of the query, or of those that their column of entities names.
        """
        model = models.of(request)
        body = Body(await request.body(), media_type(request.headers.get("content-type"), (JSON, CSV)))
        rows_source = sources.source(source, request.scope[BEARER], TRIAL)
        deployment = model.live.current

        def work() -> bytes:
            served = deployment.served
            rows = body_rows(body, served.detectors, served.read_options, entity, most_rows)
            answer, parts = judge(served.detectors, rows, threshold, top)
            for part in parts:
                deployment.recents.of(part.key).take(part.series.values, part.scores.values, part.flags, rows_source)
            alarms = sum(alarms_in(part.flags) for part in parts)
            numbers = answer["rows"] - answer["score"].count(None), sum(answer["flag"]), alarms
            counts.scored(model.name, "/api/score", *numbers, rows_source)
            return json.dumps(answer).encode()

        content = await workers.run(work, size=len(body.content))
        return Response(content, headers=deployment.headers, media_type=JSON)

    return router


def drift_routes(models: ModelsInService, mount: Mount, workers: ScoringExecutor) -> APIRouter:
    """Returns what compares and recalibrates by the rows that were scored, of a fleet those of an entity."""
    router = mount.router("score")

    @router.get("/drift")
    async def drift(request: Request, source: str = PRODUCTION, entity: str | None = None) -> Any:
        """Whether the rows of a source that were scored lately still look like those that the model learned from."""
        current = models.of(request).live.current
        return await workers.run(lambda: current.recent(entity).drift(source))

    @router.post("/recalibrate")
    async def recalibrate(request: Request, source: str = PRODUCTION, entity: str | None = None) -> Any:
        """Fits the threshold to the late scores of a source, which nobody has labeled and most of which should be normal."""
        current = models.of(request).live.current
        return await workers.run(lambda: current.recent(entity).recalibrate(source))

    @router.delete("/recalibrate")
    async def undo(request: Request, entity: str | None = None) -> Any:
        """Brings back the threshold before the last recalibration."""
        current = models.of(request).live.current
        return await workers.run(lambda: current.recent(entity).undo())

    return router
