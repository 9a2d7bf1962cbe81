"""The state of a container on its host: `/api/v1/containers/{id}/snapshots` and `.../backups`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.containers import GetContainer
from slipway.contracts.host_state import Backups, ListBackups, ListSnapshots, Snapshots
from slipway.contracts.jobs import Target
from slipway.gateway.http.answers import IdPath, passed_on
from slipway.runtime.bus.client import Bus


def host_state(bus: Bus) -> APIRouter:
    """Return the routes; each asks inventory for the node, then the host."""
    api = APIRouter(tags=["containers"])

    async def target_of(container: str) -> Target:
        return Target.of(await bus.ask(GetContainer(container=container)))

    @api.get("/containers/{container}/snapshots", response_model=Snapshots)
    async def list_snapshots(container: IdPath) -> Response:
        return await passed_on(bus, ListSnapshots(target=await target_of(container)))

    @api.get("/containers/{container}/backups", response_model=Backups)
    async def list_backups(container: IdPath) -> Response:
        return await passed_on(bus, ListBackups(target=await target_of(container)))

    return api
