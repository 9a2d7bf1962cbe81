"""What forms ask of a cluster (`/api/v1/clusters/{cluster}/facts`, `.../availability`), and OS templates."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as QueryParameter
from starlette.responses import Response

from slipway.contracts.form_facts import (
    Availabilities,
    CheckAvailability,
    DownloadAccepted,
    DownloadOsTemplate,
    FactsRequestAccepted,
    FormFacts,
    GetFormFacts,
    GetNextVmid,
    NextVmid,
    RequestFacts,
)
from slipway.gateway.cluster_bodies import OsTemplateBody
from slipway.gateway.http.answers import NamePath, answer, passed_on
from slipway.runtime.bus.client import Bus

Typed = Annotated[str | None, QueryParameter(max_length=300)]
"""What somebody types into a field: whatever it is, it is judged and not refused."""


def cluster_facts(bus: Bus) -> APIRouter:
    """Return the routes; none of them reaches a host, and a download is a job."""
    api = APIRouter(tags=["clusters"])

    @api.get("/clusters/{cluster}/facts", response_model=FormFacts)
    async def get_facts(cluster: NamePath) -> Response:
        return await passed_on(bus, GetFormFacts(cluster=cluster))

    @api.post(
        "/clusters/{cluster}/facts/refresh",
        status_code=HTTPStatus.ACCEPTED,
        response_model=FactsRequestAccepted,
    )
    async def refresh_facts(cluster: NamePath) -> Response:
        return answer(await bus.ask(RequestFacts(cluster=cluster)), status=HTTPStatus.ACCEPTED)

    @api.get("/clusters/{cluster}/vmids/next", response_model=NextVmid)
    async def get_next_vmid(cluster: NamePath) -> Response:
        return await passed_on(bus, GetNextVmid(cluster=cluster))

    @api.get("/clusters/{cluster}/availability", response_model=Availabilities)
    async def check(
        cluster: NamePath, vmid: Typed = None, hostname: Typed = None, address: Typed = None
    ) -> Response:
        query = CheckAvailability(cluster=cluster, vmid=vmid, hostname=hostname, address=address)
        return await passed_on(bus, query)

    @api.post(
        "/clusters/{cluster}/os-templates",
        status_code=HTTPStatus.ACCEPTED,
        response_model=DownloadAccepted,
    )
    async def download_os_template(cluster: NamePath, body: OsTemplateBody) -> Response:
        accepted = await bus.ask(DownloadOsTemplate(cluster=cluster, **body.model_dump()))
        location = f"/api/v1/jobs/{accepted.job.id}"
        return answer(accepted, status=HTTPStatus.ACCEPTED, Location=location)

    return api
