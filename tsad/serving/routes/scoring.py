"""`/api`: the model, series to try it on, scores, drift."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tsad.data.io.read_options import ReadOptions
from tsad.errors import shown
from tsad.serving.access import BEARER
from tsad.serving.csv_bodies import read_csv_body
from tsad.serving.errors import RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.live_model import LiveModel
from tsad.serving.metrics import ServiceMetrics
from tsad.serving.requests import CSV, JSON, ROWS_SCHEMA, Body, Rows, media_type, read_rows, request_body
from tsad.serving.responses import alarms_in, judge
from tsad.serving.row_sources import PRODUCTION, TRIAL, SourceRules

_TITLES = {"sample": "Rows that the model was tested on", "synthetic": "Generated rows with anomalies"}


def model_routes(live: LiveModel) -> APIRouter:
    """Returns what tells about the model."""
    router = APIRouter(prefix="/api", tags=["model"])

    @router.get("/model")
    async def model() -> Any:
        """The model in service, the version before it, and one that is on its way."""
        return await asyncio.to_thread(live.card)

    @router.get("/versions")
    async def versions(response: Response) -> Any:
        """The versions of the registered model, newest first; with the header Age if the tracking server is away."""
        listed, age = await asyncio.to_thread(live.served.versions)
        if age:
            response.headers["Age"] = str(age)
        return listed

    @router.get("/series")
    async def all_series() -> Any:
        """The series that the service has."""
        served = live.served
        tables = {name: await asyncio.to_thread(served.series, name) for name in served.series_names()}
        return [{"name": name, "rows": len(table), "title": _TITLES[name]} for name, table in tables.items()]

    @router.get("/series/{name}")
    async def series(name: str) -> Any:
        """The rows of a series."""
        served = live.served
        if name not in served.series_names():
            raise RequestError(404, f"there is no series {shown(name)}; there are {', '.join(served.series_names())}")
        table = await asyncio.to_thread(served.series, name)
        features = list(served.detector.scorer.features)
        timed = "time" in table.columns and "time" not in features
        return {
            "columns": features,
            "rows": table[features].to_numpy().tolist(),
            "times": table["time"].astype(str).tolist() if timed else None,
        }

    return router


def score_routes(
    live: LiveModel,
    workers: ScoringExecutor,
    counts: ServiceMetrics,
    sources: SourceRules,
    most_rows: int,
) -> APIRouter:
    """Returns what scores whole series."""
    router = APIRouter(prefix="/api", tags=["score"])

    @router.post("/score", openapi_extra=request_body({JSON: ROWS_SCHEMA, CSV: {"type": "string"}}))
    async def score(
        request: Request,
        threshold: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        top: Annotated[int, Query(ge=0, le=100)] = 3,
        source: str | None = None,
    ) -> Response:
        """Scores, flags and explained events of rows, oldest first, as CSV with a header row or as JSON."""
        body = Body(await request.body(), media_type(request.headers.get("content-type"), (JSON, CSV)))
        rows_source = sources.source(source, request.scope[BEARER], TRIAL)
        deployment = live.current

        def work() -> bytes:
            detector = deployment.served.detector
            rows = _read(body, detector.scorer.features, deployment.served.read_options, most_rows)
            answer, series, scores, flags = judge(detector, rows, threshold, top)
            deployment.recent.take(series.values, scores.values, flags, rows_source)
            numbers = len(series) - answer["score"].count(None), sum(answer["flag"]), alarms_in(flags)
            counts.scored("/api/score", *numbers, rows_source)
            return json.dumps(answer).encode()

        content = await workers.run(work, size=len(body.content))
        return Response(content, headers=deployment.headers, media_type=JSON)

    return router


def drift_routes(live: LiveModel, workers: ScoringExecutor) -> APIRouter:
    """Returns what compares and recalibrates by the rows that were scored."""
    router = APIRouter(prefix="/api", tags=["score"])

    @router.get("/drift")
    async def drift(source: str = PRODUCTION) -> Any:
        """Whether the rows of a source that were scored lately still look like those that the model learned from."""
        return await workers.run(live.current.recent.drift, source)

    @router.post("/recalibrate")
    async def recalibrate(source: str = PRODUCTION) -> Any:
        """Fits the threshold to the late scores of a source, which nobody has labeled and most of which should be normal."""
        return await workers.run(live.current.recent.recalibrate, source)

    @router.delete("/recalibrate")
    async def undo() -> Any:
        """Brings back the threshold before the last recalibration."""
        return await workers.run(live.current.recent.undo)

    return router


def _read(body: Body, features: tuple[str, ...], read_options: ReadOptions | None, most: int) -> Rows:
    """Returns the rows of a body, those of a CSV as the training rows were read."""
    if body.media == CSV and read_options is not None:
        return read_csv_body(body.content, features, read_options, most)
    return read_rows(body, features, most)
