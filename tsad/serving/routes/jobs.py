"""`/train_predict`, `/api/searches`, `/api/promotions`, `/api/jobs`: what takes long, one after another."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tsad.serving.access import BEARER
from tsad.serving.errors import RequestError
from tsad.serving.jobs import Job, Jobs, ProgressReader
from tsad.serving.models_in_service import ModelsInService
from tsad.serving.promotion_jobs import NewPromotion, task_of_promotion
from tsad.serving.proxies import ROOT
from tsad.serving.requests import CSV, JSON, Body, media_type, read_spec, request_body
from tsad.serving.routes.mounts import Mount
from tsad.serving.search_jobs import NewSearch, task_of_search
from tsad.serving.train_predict import MOST_BYTES, TrainPredictRequest, task_of


def train_predict_routes(jobs: Jobs, read_progress: ProgressReader, wait: float) -> APIRouter:
    """Returns what forecasts one series."""
    router = APIRouter(tags=["searches"])

    later: dict[int | str, Any] = {202: {"description": "A job that has not ended"}}

    @router.post(
        "/train_predict", responses=later, openapi_extra=request_body({JSON: TrainPredictRequest.model_json_schema()})
    )
    async def train_predict(request: Request) -> Response:
        """Searches a forecaster of a series; answers with its forecasts and anomalies, or after a while with a job."""
        media_type(request.headers.get("content-type"), (JSON,))
        content = await request.body()
        task = await asyncio.to_thread(
            lambda: task_of(read_spec(TrainPredictRequest, content, MOST_BYTES), read_progress)
        )
        job = jobs.submit(task, request.scope[BEARER].client)
        try:
            await asyncio.wait_for(job.ended.wait(), wait)
        except TimeoutError:
            return _accepted(job, request)
        except asyncio.CancelledError:
            jobs.cancel(job, "whoever asked has gone")
            raise
        if job.result is None:
            raise RequestError(409 if job.state == "cancelled" else 500, f"the search {job.state}: {job.error}")
        return Response(json.dumps(dict(job.result)), media_type=JSON)

    return router


def search_routes(models: ModelsInService, mount: Mount, jobs: Jobs, most_rows: int) -> APIRouter:
    """Returns what starts searches."""
    router = mount.router("searches")

    @router.post(
        "/searches",
        status_code=202,
        openapi_extra=request_body({JSON: NewSearch.model_json_schema(), CSV: {"type": "string"}}),
    )
    async def search(request: Request, trials: Annotated[int, Query(ge=1, le=64)] = 4) -> Response:
        """Starts a search on the rows of a CSV body, or on a series that the service has."""
        served = models.of(request).live.served
        body = Body(await request.body(), media_type(request.headers.get("content-type"), (JSON, CSV)))
        task = await asyncio.to_thread(task_of_search, body, served, trials, most_rows)
        return _accepted(jobs.submit(task, request.scope[BEARER].client), request)

    return router


def promotion_routes(models: ModelsInService, mount: Mount, jobs: Jobs, gate: Path | None) -> APIRouter:
    """Returns what sends candidates of searches to the gate."""
    router = mount.router("searches")

    @router.post("/promotions", status_code=202, openapi_extra=request_body({JSON: NewPromotion.model_json_schema()}))
    async def promote(request: Request) -> Response:
        """Compares a candidate with the champion on the rows of the service's `--gate`; the better one becomes champion."""
        served = models.of(request).live.served
        media_type(request.headers.get("content-type"), (JSON,))
        new = read_spec(NewPromotion, await request.body())
        job = jobs.submit(task_of_promotion(new, served, gate), request.scope[BEARER].client)
        return _accepted(job, request)

    return router


def job_routes(jobs: Jobs) -> APIRouter:
    """Returns what tells of searches, and ends them."""
    router = APIRouter(prefix="/api/jobs", tags=["searches"])

    @router.get("")
    async def all_jobs(request: Request) -> Any:
        """All jobs since the service began, newest first, without their trials and results."""
        return await asyncio.to_thread(jobs.all, request.scope[ROOT])

    @router.get("/{number}")
    async def describe(number: str, request: Request) -> Any:
        """Returns the progress of a job, and its result."""
        return await asyncio.to_thread(jobs.described, jobs.find(number), request.scope[ROOT])

    @router.delete("/{number}")
    async def cancel(number: str, request: Request) -> Any:
        """Cancels a job that has not ended; a promotion needs the role `admin`, as it did to begin."""
        job = jobs.find(number)
        if job.task.goes_first:
            request.scope[BEARER].check("admin", "to cancel a promotion")
        jobs.cancel(job)
        return await asyncio.to_thread(jobs.described, job, request.scope[ROOT])

    return router


def _accepted(job: Job, request: Request) -> Response:
    body = {"id": job.id, "state": job.state, "url": f"{request.scope[ROOT]}/api/jobs/{job.id}"}
    return Response(json.dumps(body), 202, {"Location": body["url"]}, JSON)
