"""MLflow's own scoring server as a part of ours; what it answers to a fault is said without its trace and the data."""

import json

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from mlflow.pyfunc import scoring_server

from tsad.detector.detector import Detector
from tsad.detector.score_table import flag_table
from tsad.errors import TsadError, shown
from tsad.serving.errors import RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.requests import CSV, JSON, media_type, read_split, request_body
from tsad.serving.served_model import ServedModel

PARQUET = "application/vnd.apache.parquet"
_SPLIT = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    },
}
_SCHEMA = {"type": "object", "properties": {"dataframe_split": _SPLIT, "params": {"type": "object"}}}

_REPEATS = ("Failed to predict data ", "Failed to enforce schema of data ")
"""First words of messages that repeat the rows before they come to the point."""


def mlflow_routes(served: ServedModel, workers: ScoringExecutor) -> APIRouter:
    """Returns `/ping`, `/health`, `/version` and `/invocations`."""
    router = APIRouter(tags=["MLflow"])
    app = scoring_server.init(served.pyfunc)
    endpoints = {route.path: route.endpoint for route in app.routes if isinstance(route, APIRoute)}
    for path in ("/ping", "/health", "/version"):
        router.add_api_route(path, endpoints[path])

    @router.post("/invocations", openapi_extra=request_body({JSON: _SCHEMA, CSV: {"type": "string"}}))
    async def invocations(request: Request) -> Response:
        """Scores rows as MLflow's scoring server does: `{"predictions": [{"score": ..., "flag": ...}, ...]}`."""
        media_type(media := request.headers.get("content-type"), (JSON, CSV, PARQUET))
        if media == JSON:
            short = await workers.run(_short_answer, await request.body(), served.detector)
            if short is not None:
                return Response(short, media_type=JSON)
        try:
            answer: Response = await workers.take(endpoints["/invocations"], request)
        except (RecursionError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise RequestError(400, f"body must be rows as MLflow takes them, but {shown(str(error))}") from None
        if answer.status_code >= 400:
            raise RequestError(answer.status_code, _message(bytes(answer.body)))
        return answer

    return router


def _short_answer(content: bytes, detector: Detector) -> bytes | None:
    """Returns MLflow's answer, byte for byte, to rows in which every cell is a number; None if MLflow has to give it.

    MLflow makes three tables of the rows, column by column, which takes longer than to score them.
    """
    try:
        rows = read_split(content)
        flagged = None if rows is None else flag_table(detector, rows.table, "input")
    except (RequestError, TsadError):
        return None
    return None if flagged is None else json.dumps({"predictions": flagged.to_dict("records")}).encode()


def _message(body: bytes) -> str:
    text = body.decode()
    message = str(json.loads(text)["message"]) if text.startswith("{") else text
    if message.startswith(_REPEATS):
        message = message[message.rindex("Error: ") + len("Error: ") :]
    return message.partition("\nInput: ")[0]
