"""The routes of `/api/v1`: each asks one question and gives its answer."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse

from slipway.contracts.clusters import (
    AuditPage,
    Cluster,
    ClusterPage,
    GetCluster,
    ListAudit,
    ListClusters,
)
from slipway.contracts.containers import (
    Accepted,
    Container,
    ContainerPage,
    DeleteContainer,
    GetContainer,
    ListContainers,
)
from slipway.contracts.jobs import GetJob, Job, JobLog, JobPage, ListJobs, RetryJob
from slipway.contracts.templates import GetTemplate, ListTemplates, Template, TemplateList
from slipway.gateway.auth import COOKIE, Auth
from slipway.gateway.clients import Inventory
from slipway.gateway.http import problems
from slipway.gateway.http.answers import Cursor, IdPath, Limit, SaneBody, accepted, answer
from slipway.gateway.http.bodies import (
    ClusterBody,
    ContainerBody,
    RevealedAnswer,
    SessionAnswer,
    SessionBody,
    VersionAnswer,
)
from slipway.runtime.bus import Bus
from slipway.runtime.stored import read_page
from slipway.runtime.topology import EVENTS

Name = Annotated[str | None, Query(max_length=200)]


def build_api(bus: Bus, inventory: Inventory, auth: Auth) -> FastAPI:
    """Put the API together."""
    app = FastAPI(
        title="Slipway",
        version=version("slipway-gateway"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
    )
    problems.install(app)
    for router in (_containers(bus, inventory), _jobs(bus), _rest(bus, inventory), _session(auth)):
        app.include_router(router, prefix="/api/v1", dependencies=[SaneBody])
    return app


def _containers(bus: Bus, inventory: Inventory) -> APIRouter:
    api = APIRouter(tags=["containers"])

    @api.get("/containers", response_model=ContainerPage)
    async def list_containers(limit: Limit = 100, cursor: Cursor = None, q: Name = None) -> Response:
        return answer(await bus.ask(ListContainers(limit=limit, cursor=cursor, q=q)))

    @api.post("/containers", status_code=HTTPStatus.ACCEPTED, response_model=Accepted)
    async def create_container(body: ContainerBody) -> Response:
        return accepted(await inventory.create_container(body))

    @api.get("/containers/{container}", response_model=Container)
    async def get_container(container: IdPath) -> Response:
        return answer(await bus.ask(GetContainer(container=container)))

    @api.delete("/containers/{container}", status_code=HTTPStatus.ACCEPTED, response_model=Accepted)
    async def delete_container(container: IdPath) -> Response:
        return accepted(await bus.ask(DeleteContainer(container=container)))

    @api.post("/containers/{container}/credentials/{credential}/reveal", response_model=RevealedAnswer)
    async def reveal(container: IdPath, credential: IdPath) -> Response:
        told, value = await inventory.reveal(container, credential)
        return answer(RevealedAnswer(id=told.id, name=told.name, value=value.get_secret_value()))

    return api


def _jobs(bus: Bus) -> APIRouter:
    api = APIRouter(tags=["jobs"])

    @api.get("/jobs", response_model=JobPage)
    async def list_jobs(limit: Limit = 100, cursor: Cursor = None, container: Name = None) -> Response:
        return answer(await bus.ask(ListJobs(limit=limit, cursor=cursor, container=container)))

    @api.get("/jobs/{job}", response_model=Job)
    async def get_job(job: IdPath) -> Response:
        return answer(await bus.ask(GetJob(job=job)))

    @api.post("/jobs/{job}/retry", status_code=HTTPStatus.ACCEPTED, response_model=Accepted)
    async def retry_job(job: IdPath) -> Response:
        return accepted(await bus.ask(RetryJob(job=job)))

    @api.get("/jobs/{job}/log")
    async def whole_log(job: IdPath) -> Response:
        await bus.ask(GetJob(job=job))
        return StreamingResponse(
            _log(bus, job), media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
        )

    return api


def _rest(bus: Bus, inventory: Inventory) -> APIRouter:
    api = APIRouter()

    @api.get("/clusters", response_model=ClusterPage, tags=["clusters"])
    async def list_clusters(limit: Limit = 100, cursor: Cursor = None) -> Response:
        return answer(await bus.ask(ListClusters(limit=limit, cursor=cursor)))

    @api.post("/clusters", status_code=HTTPStatus.CREATED, response_model=Cluster, tags=["clusters"])
    async def add_cluster(body: ClusterBody) -> Response:
        added = await inventory.add_cluster(body)
        return answer(added, status=HTTPStatus.CREATED, Location=f"/api/v1/clusters/{added.id}")

    @api.get("/clusters/{cluster}", response_model=Cluster, tags=["clusters"])
    async def get_cluster(cluster: IdPath) -> Response:
        return answer(await bus.ask(GetCluster(cluster=cluster)))

    @api.get("/templates", response_model=TemplateList, tags=["templates"])
    async def list_templates() -> Response:
        return answer(await bus.ask(ListTemplates()))

    @api.get("/templates/{name}", response_model=Template, tags=["templates"])
    async def get_template(name: IdPath) -> Response:
        return answer(await bus.ask(GetTemplate(name=name)))

    @api.get("/audit", response_model=AuditPage, tags=["audit"])
    async def list_audit(limit: Limit = 100, cursor: Cursor = None) -> Response:
        return answer(await bus.ask(ListAudit(limit=limit, cursor=cursor)))

    @api.get("/version", response_model=VersionAnswer)
    async def get_version() -> Response:
        return answer(VersionAnswer(version=version("slipway-gateway")))

    return api


def _session(auth: Auth) -> APIRouter:
    api = APIRouter(tags=["session"])

    @api.post("/session", response_model=SessionAnswer)
    async def sign_in(body: SessionBody, request: Request) -> Response:
        cookie = await auth.sign_in(body.secret.get_secret_value())
        response = answer(SessionAnswer(actor="bootstrap"))
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(auth.lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @api.get("/session", response_model=SessionAnswer)
    async def who(request: Request) -> Response:
        return answer(SessionAnswer(actor=request.scope["actor"]))

    @api.delete("/session", status_code=HTTPStatus.NO_CONTENT)
    async def sign_out(request: Request) -> Response:
        await auth.sign_out(dict(request.scope["headers"]))
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.delete_cookie(COOKIE)
        return response

    return api


async def _log(bus: Bus, job: str) -> AsyncIterator[str]:
    """Give a job's log as text, page by page; parts of a line are joined."""
    after = 0
    while True:
        page = await read_page(
            bus.connection, EVENTS, subject=JobLog.subject.replace("{id}", job), from_sequence=after + 1
        )
        for message in page.messages:
            lines = JobLog.model_validate_json(message.payload).lines
            yield "".join(line.text if line.more else f"{line.text}\n" for line in lines)
        if page.remaining == 0 or not page.messages:
            return
        after = page.messages[-1].sequence
