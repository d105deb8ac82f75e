"""MLflow's own scoring server as a part of ours; what it answers to a fault is said without its trace and the data."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from tsad.detector.score_table import flag_table
from tsad.errors import TsadError, shown
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.model_detectors import ModelDetectors
from tsad.serving.models_in_service import ModelsInService
from tsad.serving.parquet_bodies import plain_parquet
from tsad.serving.requests import CSV, JSON, media_type, read_json, request_body, split_rows
from tsad.serving.routes.mounts import Mount

PARQUET = "application/vnd.apache.parquet"
_SPLIT = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array", "items": {"type": ["number", "string"]}}},
    },
}
_SCHEMA = {"type": "object", "properties": {"dataframe_split": _SPLIT, "params": {"type": "object"}}}

_REPEATS = ("Failed to predict data ", "Failed to enforce schema of data ")
"""First words of messages that repeat the rows before they come to the point."""


def mlflow_routes(models: ModelsInService) -> APIRouter:
    """Returns `/ping` and `/version`."""
    router = APIRouter(tags=["MLflow"])
    for path in ("/ping", "/version"):
        router.add_api_route(path, models.first.live.current.endpoints[path])
    return router


def invocation_routes(models: ModelsInService, mount: Mount, workers: ScoringExecutor, limits: BodyLimits) -> APIRouter:
    """Returns `/invocations`."""
    router = APIRouter(prefix=mount.outside, tags=["MLflow"], dependencies=mount.dependencies)

    @router.post("/invocations", openapi_extra=request_body({JSON: _SCHEMA, CSV: {"type": "string"}}))
    async def invocations(request: Request) -> Response:
        """Scores rows as MLflow's scoring server does: `{"predictions": [{"score": ..., "flag": ...}, ...]}`."""
        media = media_type(request.headers.get("content-type"), (JSON, CSV, PARQUET))
        deployment = models.of(request).live.current
        detectors = deployment.served.detectors
        content = await request.body()
        if media == JSON:
            short = await workers.run(_short_answer, content, detectors, limits, size=len(content))
            if short is not None:
                return Response(short, headers=deployment.headers, media_type=JSON)
        elif media == PARQUET:
            names = (detectors.features, limits, detectors.column)
            request._body = content = await workers.run(plain_parquet, content, *names)
        try:
            answer: Response = await workers.take(deployment.endpoints["/invocations"], request, size=len(content))
        except (RecursionError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise RequestError(400, f"body must be rows as MLflow takes them, but {shown(str(error))}") from None
        if answer.status_code >= 400:
            raise RequestError(answer.status_code, _message(bytes(answer.body)))
        answer.headers.update(deployment.headers)
        return answer

    return router


def _short_answer(content: bytes, detectors: ModelDetectors, limits: BodyLimits) -> bytes | None:
    """Returns MLflow's answer, byte for byte, to rows in which every cell is a number; None if MLflow has to give it.

    MLflow makes three tables of the rows, column by column, which takes longer than to score them.

    Raises:
        RequestError: if the rows are more than the limits allow.
    """
    value = _parsed(content)
    limits.check_values(value)
    try:
        rows = split_rows(value)
        if rows is not None and (detectors.is_fleet or detectors.column in rows.table.columns):
            return None  # rows of several entities
        flagged = None if rows is None else flag_table(detectors.of(None), rows.table, "input")
    except (RequestError, TsadError):
        return None
    return None if flagged is None else json.dumps({"predictions": flagged.to_dict("records")}).encode()


def _parsed(content: bytes) -> Any:
    """Returns what MLflow would parse the body to, which takes NaN and keys that come twice; None if it is no JSON."""
    try:
        return read_json(content)
    except RequestError:
        pass
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _message(body: bytes) -> str:
    text = body.decode()
    message = str(json.loads(text)["message"]) if text.startswith("{") else text
    if message.startswith(_REPEATS):
        message = message[message.rindex("Error: ") + len("Error: ") :]
    return message.partition("\nInput: ")[0]
