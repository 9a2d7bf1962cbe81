"""`/api/v1/containers`."""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from slipway.contracts.containers import (
    Accepted,
    Container,
    ContainerPage,
    ContainerRef,
    DeleteContainer,
    ForgetContainer,
    GetContainer,
    JobRef,
    ListContainers,
)
from slipway.contracts.job_kinds import KINDS, REQUESTED, KindSpec
from slipway.contracts.jobs import RequestCancel, RequestJob
from slipway.contracts.message import Id
from slipway.contracts.plans import PlanJob
from slipway.contracts.problems import Conflict
from slipway.contracts.values import Lifecycle
from slipway.gateway.bodies import ContainerBody, RevealedAnswer, args_body
from slipway.gateway.clients import Inventory
from slipway.gateway.http.answers import PLANNED, IdPath, IsPlan, accepted, answer, changed, passed_on
from slipway.gateway.http.batches import AnyAccepted, create_many
from slipway.gateway.http.filters import ContainerFilters, given_once
from slipway.runtime.bus.client import Bus

JOB_ENDED = "job.ended"
"""Inventory's code for a cancel that comes too late."""
Cancels = Annotated[bool, Query(description="End a creation that is under way, and remove what it made.")]


def containers(bus: Bus, inventory: Inventory) -> APIRouter:
    """Return the routes of containers."""
    api = APIRouter(tags=["containers"])

    @api.get("/containers", response_model=ContainerPage, dependencies=[given_once(ContainerFilters)])
    async def list_containers(filters: Annotated[ContainerFilters, Query()]) -> Response:
        return await passed_on(bus, ListContainers.model_validate(filters.model_dump()))

    @api.post("/containers", status_code=HTTPStatus.ACCEPTED, response_model=AnyAccepted, responses=PLANNED)
    async def create_container(body: ContainerBody, *, is_plan: IsPlan = False) -> Response:
        if body.count is not None:
            return await create_many(bus, await inventory.creation(body), body.count, is_plan=is_plan)
        return await changed(bus, await inventory.creation(body), is_plan=is_plan)

    @api.get("/containers/{container}", response_model=Container)
    async def get_container(container: IdPath) -> Response:
        return await passed_on(bus, GetContainer(container=container))

    @api.delete(
        "/containers/{container}", status_code=HTTPStatus.ACCEPTED, response_model=Accepted, responses=PLANNED
    )
    async def delete_container(
        container: IdPath, *, is_plan: IsPlan = False, cancel: Cancels = False
    ) -> Response:
        if cancel and (ending := await _cancelled(bus, container, is_plan=is_plan)) is not None:
            return ending
        return await changed(bus, DeleteContainer(container=container), is_plan=is_plan)

    @api.post("/containers/{container}/forget", response_model=Container)
    async def forget_container(container: IdPath) -> Response:
        return await passed_on(bus, ForgetContainer(container=container))

    for spec in REQUESTED.values():
        _add_verb(api, bus, spec)

    @api.post("/containers/{container}/credentials/{credential}/reveal", response_model=RevealedAnswer)
    async def reveal(container: IdPath, credential: IdPath) -> Response:
        ref, value = await inventory.reveal(container, credential)
        return answer(RevealedAnswer(id=ref.id, name=ref.name, value=value.get_secret_value()))

    return api


_ARGUMENTS = frozenset(name for spec in KINDS.values() for name in spec.args.model_fields)
"""Of any kind of job; a name that is not among them is a typo."""


class _VerbRoute(APIRoute):
    """A route whose body is a job's arguments: those that are missing or not taken are named `args.NAME`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def handle_args(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise RequestValidationError([_in_args(each) for each in error.errors()]) from error

        return handle_args


def _in_args(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    match fault["type"], fault["loc"]:
        case "missing", ("body", name):
            pass
        case "extra_forbidden", ("body", name) if name in _ARGUMENTS:
            pass
        case _:
            return fault
    return {**fault, "loc": ("body", "args", name)}


def _add_verb(api: APIRouter, bus: Bus, spec: KindSpec) -> None:
    """Add the route that requests a kind of job; its body is exactly the kind's arguments."""
    model = args_body(spec.args)
    is_required = any(field.is_required() for field in model.model_fields.values())
    default = Body() if is_required else Body(default=None)

    async def request(container: IdPath, body: Any = default, *, is_plan: IsPlan = False) -> Response:
        args = body.model_dump() if body is not None else {}
        job = RequestJob.model_validate({"container": container, "kind": spec.kind, "args": args})
        return await changed(bus, job, is_plan=is_plan)

    request.__annotations__["body"] = model if is_required else model | None
    api.add_api_route(
        f"/containers/{{container}}/{spec.verb}",
        request,
        methods=["POST"],
        status_code=HTTPStatus.ACCEPTED,
        response_model=Accepted,
        responses=PLANNED,
        name=spec.verb,
        summary=spec.summary,
        route_class_override=_VerbRoute,
    )


async def _cancelled(bus: Bus, container: Id, *, is_plan: bool) -> Response | None:
    """End a creation and have it remove what it made; None if none is under way, or not any more."""
    one = await bus.ask(GetContainer(container=container))
    if one.job is None or one.lifecycle is not Lifecycle.CREATING:
        return None
    cancel = RequestCancel(job=one.job, remove_on_cancel=True)
    try:
        if is_plan:
            return await passed_on(bus, PlanJob(cancel=cancel))
        await bus.ask(cancel)
    except Conflict as error:
        if error.code != JOB_ENDED:
            raise
        return None
    container_ref = ContainerRef(id=one.id, vmid=one.vmid, hostname=one.hostname, cluster=one.cluster)
    return accepted(Accepted(job=JobRef(id=one.job), container=container_ref))
