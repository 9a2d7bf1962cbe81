"""`/api/v1/jobs`; the event streams are `stream.py`'s."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from starlette.responses import Response, StreamingResponse

from slipway.contracts.jobs import GetJob, Job, JobPage, ListJobs, RequestCancel, RequestJob, RetryJob
from slipway.gateway.bodies import JobBody, RetryBody
from slipway.gateway.http.answers import IdPath, IsPlan, answer, changed, passed_on
from slipway.gateway.http.batches import (
    ANY_PLANNED,
    AnyAccepted,
    batch,
    plan_cancel,
    refuse_unclear,
    retry_batch,
)
from slipway.gateway.http.filters import JobFilters, given_once
from slipway.gateway.http.log_text import log_of
from slipway.runtime.bus.client import Bus

Destroys = Annotated[bool, Query(description="Creations and copies: also remove what the job has made.")]

LOG_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox"}
"""Guests write the log: whatever a browser makes of it, it may not act as the page."""


def jobs(bus: Bus) -> APIRouter:
    """Return the routes of jobs."""
    api = APIRouter(tags=["jobs"])

    @api.get("/jobs", response_model=JobPage, dependencies=[given_once(JobFilters)])
    async def list_jobs(filters: Annotated[JobFilters, Query()]) -> Response:
        return await passed_on(bus, ListJobs.model_validate(filters.model_dump()))

    @api.get("/jobs/{job}", response_model=Job)
    async def get_job(job: IdPath) -> Response:
        return await passed_on(bus, GetJob(job=job))

    @api.post("/jobs", status_code=HTTPStatus.ACCEPTED, response_model=AnyAccepted, responses=ANY_PLANNED)
    async def request_job(body: JobBody, *, is_plan: IsPlan = False) -> Response:
        refuse_unclear(body)
        if body.selection is not None:
            return await batch(bus, body, is_plan=is_plan)
        return await changed(bus, RequestJob.model_validate(body.model_dump()), is_plan=is_plan)

    @api.post(
        "/jobs/{job}/cancel", status_code=HTTPStatus.ACCEPTED, response_model=Job, responses=ANY_PLANNED
    )
    async def cancel_job(job: IdPath, *, destroy: Destroys = False, is_plan: IsPlan = False) -> Response:
        cancel = RequestCancel(job=job, remove_on_cancel=destroy)
        if is_plan:
            return await plan_cancel(bus, cancel)
        ended = await bus.ask(cancel)
        return answer(ended, status=HTTPStatus.ACCEPTED, Location=f"/api/v1/jobs/{ended.id}")

    @api.post(
        "/jobs/{job}/retry",
        status_code=HTTPStatus.ACCEPTED,
        response_model=AnyAccepted,
        responses=ANY_PLANNED,
    )
    async def retry_job(job: IdPath, body: RetryBody | None = None, *, is_plan: IsPlan = False) -> Response:
        retry = body or RetryBody()
        if (again := await retry_batch(bus, job, retry, is_plan=is_plan)) is not None:
            return again
        return await changed(bus, RetryJob(job=job, phase=retry.phase), is_plan=is_plan)

    @api.get("/jobs/{job}/log", response_class=PlainTextResponse)
    async def whole_log(job: IdPath) -> Response:
        state = (await bus.ask(GetJob(job=job))).state
        text = await log_of(bus, job, is_over=state.is_terminal)
        return StreamingResponse(text, media_type="text/plain; charset=utf-8", headers=LOG_HEADERS)

    return api
