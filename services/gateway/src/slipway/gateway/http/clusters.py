"""`/api/v1/clusters`."""

from http import HTTPStatus
from secrets import token_hex
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter
from fastapi import Query as QueryParameter
from starlette.responses import Response

from slipway.contracts.cluster_removal import ClusterRemoval, RemoveCluster
from slipway.contracts.clusters import (
    CheckCluster,
    Cluster,
    ClusterPage,
    ConfirmHostKey,
    GetCluster,
    ListClusters,
    SetMaintenance,
    SetVmidRange,
)
from slipway.contracts.connections import AccessScript, GetAccessScript, NodeProbe, ProbeNode
from slipway.contracts.problems import FieldError, Invalid
from slipway.gateway.clients import Inventory
from slipway.gateway.cluster_bodies import (
    ClusterAccessBody,
    ClusterBody,
    ConnectBody,
    HostKeyBody,
    ProbeBody,
    ReconnectBody,
    ScriptBody,
    VmidRangeBody,
)
from slipway.gateway.http.answers import Cursor, IsPlan, Limit, NamePath, answer, passed_on
from slipway.runtime.bus.client import Bus

IsAnyway = Annotated[bool, QueryParameter(alias="anyway")]
"""Whether a cluster is saved although checks fail; it is marked with them."""


def clusters(bus: Bus, inventory: Inventory) -> APIRouter:
    """Return the routes of clusters."""
    api = APIRouter(tags=["clusters"])

    @api.get("/clusters", response_model=ClusterPage)
    async def list_clusters(limit: Limit = 100, cursor: Cursor = None) -> Response:
        return await passed_on(bus, ListClusters(limit=limit, cursor=cursor))

    @api.post("/clusters", status_code=HTTPStatus.CREATED, response_model=Cluster)
    async def add_cluster(body: ClusterBody, *, is_anyway: IsAnyway = False) -> Response:
        return _created(await inventory.add_cluster(body, is_anyway=is_anyway))

    _add_connection(api, bus, inventory)

    @api.get("/clusters/{cluster}", response_model=Cluster)
    async def get_cluster(cluster: NamePath) -> Response:
        return await passed_on(bus, GetCluster(cluster=cluster))

    @api.delete("/clusters/{cluster}", response_model=ClusterRemoval)
    async def remove_cluster(cluster: NamePath, *, is_plan: IsPlan = False) -> Response:
        return await passed_on(bus, RemoveCluster(cluster=cluster, is_plan=is_plan))

    @api.put("/clusters/{cluster}/access", response_model=Cluster)
    async def change_access(cluster: NamePath, body: ClusterAccessBody) -> Response:
        return answer(await inventory.change_access(cluster, body))

    @api.post("/clusters/{cluster}/check", response_model=Cluster)
    async def check_cluster(cluster: NamePath) -> Response:
        return await passed_on(bus, CheckCluster(cluster=cluster))

    _add_vmid_range(api, bus)
    _add_nodes(api, bus)
    return api


def _created(cluster: Cluster) -> Response:
    return answer(cluster, status=HTTPStatus.CREATED, Location=f"/api/v1/clusters/{quote(cluster.id)}")


def _add_connection(api: APIRouter, bus: Bus, inventory: Inventory) -> None:
    @api.post("/clusters/probe", response_model=NodeProbe)
    async def probe_node(body: ProbeBody) -> Response:
        return await passed_on(bus, ProbeNode(**body.model_dump()))

    @api.post("/clusters/connect", status_code=HTTPStatus.CREATED, response_model=Cluster)
    async def connect_cluster(body: ConnectBody) -> Response:
        return _created(await inventory.connect(body))

    @api.post("/clusters/{cluster}/connect", response_model=Cluster)
    async def reconnect_cluster(cluster: NamePath, body: ReconnectBody) -> Response:
        return answer(await inventory.reconnect(cluster, body))

    @api.post("/clusters/script", response_model=AccessScript)
    async def access_script(body: ScriptBody) -> Response:
        if body.is_removal and body.id is None:
            message = "Say which: it stands in the token's name, slipway-ID@pve!main."
            raise Invalid(f"id: {message}", errors=[FieldError(field="id", message=message)])
        query = GetAccessScript(**body.model_dump(exclude={"id"}), id=body.id or token_hex(4))
        return await passed_on(bus, query)


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
