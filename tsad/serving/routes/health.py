"""`/health` and `/ready`: whether the service is well, and whether requests should be sent to it."""

import asyncio
import json

from fastapi import APIRouter, Response

from tsad.serving.executor import ScoringExecutor
from tsad.serving.health import Health
from tsad.serving.requests import JSON


def health_routes(health: Health, workers: ScoringExecutor) -> APIRouter:
    """Returns `/health` and `/ready`."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def tell_health() -> Response:
        """Whether the service is well: MLflow's answer if it is; the problems if not, with 503 if requests fail."""
        problems = await asyncio.to_thread(health.problems)
        if not problems.severe and not problems.other:
            return Response("\n", media_type=JSON)
        status = "failing" if problems.severe else "degraded"
        body = json.dumps({"status": status, "problems": [*problems.severe, *problems.other]})
        return Response(body, 503 if problems.severe else 200, media_type=JSON)

    @router.get("/ready")
    async def tell_ready() -> Response:
        """Whether requests should be sent here: 503 while they would fail, or wait too long."""
        problems = list((await asyncio.to_thread(health.problems)).severe)
        if workers.is_full:
            problems.append("as many requests wait as may")
        body = json.dumps({"status": "not ready" if problems else "ready", "problems": problems})
        return Response(body, 503 if problems else 200, media_type=JSON)

    return router
