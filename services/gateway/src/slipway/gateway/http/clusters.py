"""`/api/v1/clusters`."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.cluster_removal import ClusterRemoval, RemoveCluster
from slipway.contracts.clusters import (
    Cluster,
    ClusterPage,
    ConfirmHostKey,
    GetCluster,
    ListClusters,
    SetMaintenance,
    SetVmidRange,
)
from slipway.gateway.bodies import ClusterAccessBody, ClusterBody, HostKeyBody, VmidRangeBody
from slipway.gateway.clients import Inventory
from slipway.gateway.http.answers import Cursor, IsPlan, Limit, NamePath, answer, passed_on
from slipway.runtime.bus.client import Bus


def clusters(bus: Bus, inventory: Inventory) -> APIRouter:
    """Return the routes of clusters."""
    api = APIRouter(tags=["clusters"])

    @api.get("/clusters", response_model=ClusterPage)
    async def list_clusters(limit: Limit = 100, cursor: Cursor = None) -> Response:
        return await passed_on(bus, ListClusters(limit=limit, cursor=cursor))

    @api.post("/clusters", status_code=HTTPStatus.CREATED, response_model=Cluster)
    async def add_cluster(body: ClusterBody) -> Response:
        added = await inventory.add_cluster(body)
        return answer(added, status=HTTPStatus.CREATED, Location=f"/api/v1/clusters/{quote(added.id)}")

    @api.get("/clusters/{cluster}", response_model=Cluster)
    async def get_cluster(cluster: NamePath) -> Response:
        return await passed_on(bus, GetCluster(cluster=cluster))

    @api.delete("/clusters/{cluster}", response_model=ClusterRemoval)
    async def remove_cluster(cluster: NamePath, *, is_plan: IsPlan = False) -> Response:
        return await passed_on(bus, RemoveCluster(cluster=cluster, is_plan=is_plan))

    @api.put("/clusters/{cluster}/access", response_model=Cluster)
    async def change_access(cluster: NamePath, body: ClusterAccessBody) -> Response:
        return answer(await inventory.change_access(cluster, body))

    _add_vmid_range(api, bus)
    _add_nodes(api, bus)
    return api


def _add_vmid_range(api: APIRouter, bus: Bus) -> None:
    @api.put("/clusters/{cluster}/vmid-range", response_model=Cluster)
    async def set_vmid_range(cluster: NamePath, body: VmidRangeBody) -> Response:
        return await passed_on(bus, SetVmidRange(cluster=cluster, vmids=body))

    @api.delete("/clusters/{cluster}/vmid-range", response_model=Cluster)
    async def clear_vmid_range(cluster: NamePath) -> Response:
        return await passed_on(bus, SetVmidRange(cluster=cluster, vmids=None))


def _add_nodes(api: APIRouter, bus: Bus) -> None:
    @api.put("/clusters/{cluster}/nodes/{node}/host-key", response_model=Cluster)
    async def confirm_host_key(cluster: NamePath, node: NamePath, body: HostKeyBody) -> Response:
        confirm = ConfirmHostKey(cluster=cluster, node=node, **body.model_dump())
        return await passed_on(bus, confirm)

    @api.put("/clusters/{cluster}/nodes/{node}/maintenance", response_model=Cluster)
    async def begin_maintenance(cluster: NamePath, node: NamePath) -> Response:
        return await passed_on(bus, SetMaintenance(cluster=cluster, node=node, is_on=True))

    @api.delete("/clusters/{cluster}/nodes/{node}/maintenance", response_model=Cluster)
    async def end_maintenance(cluster: NamePath, node: NamePath) -> Response:
        return await passed_on(bus, SetMaintenance(cluster=cluster, node=node, is_on=False))
