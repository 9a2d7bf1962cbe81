"""What many containers at once are asked for: the part of `POST /api/v1/jobs` with a selection."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from slipway.contracts.bulk import (
    BatchAccepted,
    BatchPlan,
    CreateContainers,
    PlanBatch,
    RequestBatch,
    RetryBatch,
)
from slipway.contracts.containers import Accepted, CreateContainer
from slipway.contracts.jobs import GetJob
from slipway.contracts.message import Id
from slipway.contracts.plans import Plan
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.values import JobKind
from slipway.gateway.http.answers import answer
from slipway.gateway.http.bodies import JobBody
from slipway.runtime.bus import Bus

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
        message = "Give either `container` (one id) or `selection` (several), and not both."
        raise TargetUnclear(message, errors=[FieldError(field="selection", message=message)])
    if body.plan is not None and body.selection is None:
        message = "Only a job on a selection takes a plan's hash."
        raise TargetUnclear(message, errors=[FieldError(field="plan", message=message)])


async def batch(bus: Bus, body: JobBody, *, is_plan: bool) -> Response:
    """Ask for a batch: 202; or, with `?plan=true`, for what it would do: 200."""
    if is_plan:
        return answer(await bus.ask(PlanBatch.model_validate(body.model_dump())))
    return _accepted(await bus.ask(RequestBatch.model_validate(body.model_dump())))


async def create_many(bus: Bus, one: CreateContainer, count: int) -> Response:
    """Ask for several containers like one."""
    many = CreateContainers(
        spec=one.spec, count=count, password=one.password, secret_variables=one.secret_variables
    )
    return _accepted(await bus.ask(many))


async def retry_batch(bus: Bus, job: Id) -> Response | None:
    """Ask for a batch once more; None if the job is none."""
    if (await bus.ask(GetJob(job=job))).kind is not JobKind.BATCH:
        return None
    return _accepted(await bus.ask(RetryBatch(job=job)))


def _accepted(value: BatchAccepted) -> Response:
    """Say that many changes have become a batch, and where it is."""
    return answer(value, status=HTTPStatus.ACCEPTED, Location=f"/api/v1/jobs/{value.job.id}")
