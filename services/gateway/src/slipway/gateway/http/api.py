"""The API, built from its routers; OpenAPI gets what FastAPI can't see."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from slipway.contracts.job_kinds import INTERRUPTING, REQUESTED
from slipway.gateway.bodies import ProblemAnswer, VersionAnswer
from slipway.gateway.clients import Inventory
from slipway.gateway.http import problems
from slipway.gateway.http.answers import answer
from slipway.gateway.http.audit import audit
from slipway.gateway.http.cluster_facts import cluster_facts
from slipway.gateway.http.cluster_settings import cluster_settings
from slipway.gateway.http.clusters import clusters
from slipway.gateway.http.containers import containers
from slipway.gateway.http.dead_letters import dead_letters
from slipway.gateway.http.host_state import host_state
from slipway.gateway.http.installation import installation
from slipway.gateway.http.jobs import jobs
from slipway.gateway.http.session import session
from slipway.gateway.http.templates import templates
from slipway.gateway.http.texts import SaneTexts
from slipway.gateway.identity.auth import Auth
from slipway.runtime.bus.client import Bus

PREFIX = "/api/v1"
VERSION = version("slipway-gateway")
_PROBLEM = {
    "description": "A problem (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}},
}
_KEYED = (
    ("/containers", "post"),
    ("/containers/{container}", "delete"),
    *((f"/containers/{{container}}/{verb}", "post") for verb in REQUESTED),
    ("/jobs", "post"),
    ("/jobs/{job}/retry", "post"),
    ("/clusters", "post"),
    ("/clusters/{cluster}/os-templates", "post"),
    ("/clusters/{cluster}", "delete"),
)
"""Requests that make something new each time; all others may be sent twice as they are."""
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128, "pattern": "^[A-Za-z0-9._:-]+$"},
    "description": "The same key with the same request gets the first answer again, for a day.",
}

_CONFIRMED = (
    ("/containers/{container}", "delete"),
    *(
        (f"/containers/{{container}}/{verb}", "post")
        for verb, spec in REQUESTED.items()
        if spec.kind in INTERRUPTING
    ),
    ("/jobs", "post"),
    ("/jobs/{job}/retry", "post"),
)
"""Requests that may end Slipway itself."""
_CONFIRM = {
    "name": "Slipway-Confirm",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["self"]},
    "description": "Do it also to the container that Slipway itself runs in (409 `container.own` without).",
}


def build_api(bus: Bus, inventory: Inventory, auth: Auth, *, path: str) -> FastAPI:
    """Build the API; `path` is what people write in front of `/api`, for programs that read the document."""
    app = _Api(
        title="Slipway",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        redirect_slashes=False,
        servers=[{"url": path}] if path else None,
    )
    problems.install(app)
    routers = (
        containers(bus, inventory),
        host_state(bus),
        jobs(bus),
        clusters(bus, inventory),
        cluster_facts(bus),
        cluster_settings(bus),
        templates(bus),
        audit(bus),
        dead_letters(bus),
        installation(bus),
        session(auth),
        _version(),
    )
    for router in routers:
        app.include_router(
            router,
            prefix=PREFIX,
            dependencies=[SaneTexts],
            responses={"4XX": _PROBLEM, "5XX": _PROBLEM, 422: _PROBLEM},
        )
    return app


def _version() -> APIRouter:
    api = APIRouter(tags=["version"])

    @api.get("/version", response_model=VersionAnswer)
    async def get_version() -> Response:
        return answer(VersionAnswer(version=VERSION))

    return api


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, built once."""
        if self.openapi_schema is None:
            self.openapi_schema = _extended(super().openapi())
        return self.openapi_schema


def _extended(document: dict[str, Any]) -> dict[str, Any]:
    """Add the event streams, the key of a request, and how one proves who one is."""
    document["paths"][f"{PREFIX}/events"] = {"get": _stream("Everything that happens, without log lines", [])}
    job = {"name": "job", "in": "path", "required": True, "schema": {"type": "string"}}
    document["paths"][f"{PREFIX}/jobs/{{job}}/events"] = {"get": _stream("A job's log, live", [job])}
    for path, method in _KEYED:
        document["paths"][f"{PREFIX}{path}"][method].setdefault("parameters", []).append(_KEY)
    for path, method in _CONFIRMED:
        document["paths"][f"{PREFIX}{path}"][method].setdefault("parameters", []).append(_CONFIRM)
    problem = ProblemAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**problem.pop("$defs"), "ProblemAnswer": problem}
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "slipway-session"},
    }
    document["security"] = [{"token": []}, {"session": []}]
    document["paths"][f"{PREFIX}/session"]["post"]["security"] = []
    return document


def _stream(summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0}
    problem = {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}
    return {
        "summary": summary,
        "tags": ["events"],
        "parameters": [
            *parameters,
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": number},
            {"name": "last_event_id", "in": "query", "required": False, "schema": number},
        ],
        "responses": {
            "200": {
                "description": "Server-sent events; `id` is the stream's sequence, `data` one JSON message",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            "204": {"description": "The log is over, and was seen to its end"},
            "4XX": {"description": "A problem (RFC 9457)", "content": {problems.MEDIA_TYPE: problem}},
        },
    }
