"""Responses, and the parameters that many paths take."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Path
from fastapi import Query as QueryParameter
from pydantic import BaseModel
from starlette.responses import Response

from slipway.contracts.bulk import BatchAccepted
from slipway.contracts.containers import Accepted, CreateContainer, DeleteContainer
from slipway.contracts.jobs import RequestJob, RetryJob
from slipway.contracts.message import Query
from slipway.contracts.plans import Plan, PlanJob
from slipway.runtime.bus.client import Bus

ChangeQuery = CreateContainer | DeleteContainer | RequestJob | RetryJob
_PLAN_FIELDS: Mapping[type[ChangeQuery], str] = {
    CreateContainer: "create",
    DeleteContainer: "delete",
    RequestJob: "request",
    RetryJob: "retry",
}
"""The field of a `PlanJob` that a request stands in."""

ID = r"^[a-z0-9][a-z0-9-]{0,126}$"
IdPath = Annotated[str, Path(pattern=ID, max_length=127)]
NamePath = Annotated[str, Path(max_length=127)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Cursor = Annotated[str | None, QueryParameter(max_length=256)]
IsPlan = Annotated[bool, QueryParameter(alias="plan")]
"""Whether the answer is only the plan."""
PLANNED: dict[int | str, dict[str, Any]] = {200: {"model": Plan, "description": "What would be done"}}

AcceptedT = TypeVar("AcceptedT", bound=Accepted | BatchAccepted)


def answer(value: BaseModel, *, status: int = 200, **headers: str) -> Response:
    """Write a value as JSON, once: it was validated when it came."""
    head = {"Cache-Control": "no-store", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Response(value.model_dump_json(), status, head, "application/json")


async def passed_on(bus: Bus, query: Query[Any]) -> Response:
    """Pass on what a service answers, byte for byte: a list may be a MiB."""
    return Response(await bus.ask_raw(query), 200, {"Cache-Control": "no-store"}, "application/json")


def accepted(value: AcceptedT) -> Response:
    """Return the response to an accepted change: its job, and where it is."""
    return answer(value, status=HTTPStatus.ACCEPTED, Location=f"/api/v1/jobs/{value.job.id}")


async def changed(bus: Bus, request: ChangeQuery, *, is_plan: bool) -> Response:
    """Ask for a change as a job: 202; or, with `?plan=true`, for what it would do: 200."""
    if not is_plan:
        return accepted(await bus.ask(request))
    return await passed_on(bus, PlanJob.model_validate({_PLAN_FIELDS[type(request)]: request}))
