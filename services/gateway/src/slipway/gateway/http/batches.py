"""Requests for many containers at once: the part of `POST /api/v1/jobs` with a selection."""

from typing import Any

from starlette.responses import Response

from slipway.contracts.bulk import (
    BatchAccepted,
    BatchPlan,
    CreateContainers,
    PlanBatch,
    PlanBatchCancel,
    PlanBatchRetry,
    RequestBatch,
    RetryBatch,
)
from slipway.contracts.containers import Accepted, CreateContainer
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import GetJob, RequestCancel
from slipway.contracts.message import Id
from slipway.contracts.plans import Plan, PlanJob
from slipway.contracts.problems import FieldError, Invalid
from slipway.gateway.bodies import JobBody, RetryBody
from slipway.gateway.http.answers import accepted, passed_on
from slipway.runtime.bus.client import Bus

AnyAccepted = Accepted | BatchAccepted
ANY_PLANNED: dict[int | str, dict[str, Any]] = {
    200: {"model": Plan | BatchPlan, "description": "What would be done"}
}


class TargetUnclear(Invalid):
    """A job works on one container or on a selection."""

    code = "job.target-unclear"


def refuse_unclear(body: JobBody) -> None:
    """Refuse a job on both or on neither."""
    if (body.container is None) == (body.selection is None):
        raise _unclear(
            "selection", "Give either `container` (one id) or `selection` (several), and not both."
        )
    if body.plan is not None and body.selection is None:
        raise _unclear("plan", "Only a job on a selection takes a plan's hash.")


async def batch(bus: Bus, body: JobBody, *, is_plan: bool) -> Response:
    """Ask for a batch: 202; or, with `?plan=true`, for what it would do: 200."""
    if is_plan:
        return await passed_on(bus, PlanBatch.model_validate(body.model_dump()))
    return accepted(await bus.ask(RequestBatch.model_validate(body.model_dump())))


async def create_many(bus: Bus, one: CreateContainer, count: int, *, is_plan: bool) -> Response:
    """Ask for several containers like one; or for what would be done with the first of them."""
    many = CreateContainers(
        spec=one.spec, count=count, password=one.password, secret_variables=one.secret_variables
    )
    return await passed_on(bus, PlanJob(create_many=many)) if is_plan else accepted(await bus.ask(many))


async def retry_batch(bus: Bus, job: Id, body: RetryBody, *, is_plan: bool) -> Response | None:
    """Ask for a batch once more, or for what that would do; None if the job is none."""
    if not await _is_batch(bus, job):
        if body.plan is not None:
            raise _unclear("plan", "Only the retry of a batch takes a plan's hash.")
        return None
    if body.phase is not None:
        raise _unclear("phase", "A batch is done again as a whole; retry the job of one item from a phase.")
    if is_plan:
        return await passed_on(bus, PlanBatchRetry(job=job))
    return accepted(await bus.ask(RetryBatch(job=job, plan=body.plan)))


async def plan_cancel(bus: Bus, cancel: RequestCancel) -> Response:
    """Ask what a cancel would end; of a batch, which items."""
    if not await _is_batch(bus, cancel.job):
        return await passed_on(bus, PlanJob(cancel=cancel))
    return await passed_on(bus, PlanBatchCancel(job=cancel.job, remove_on_cancel=cancel.remove_on_cancel))


async def _is_batch(bus: Bus, job: Id) -> bool:
    return (await bus.ask(GetJob(job=job))).kind is JobKind.BATCH


def _unclear(field: str, message: str) -> TargetUnclear:
    return TargetUnclear(message, errors=[FieldError(field=field, message=message)])
