"""`/api/v1/clusters/{cluster}/limits`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.cluster_settings import ClusterLimits, GetClusterLimits, SetClusterLimits
from slipway.gateway.bodies import ClusterLimitsBody
from slipway.gateway.http.answers import NamePath, passed_on
from slipway.runtime.bus.client import Bus


def cluster_settings(bus: Bus) -> APIRouter:
    """Return the routes of a cluster's settings."""
    api = APIRouter(tags=["clusters"])

    @api.get("/clusters/{cluster}/limits", response_model=ClusterLimits)
    async def get_limits(cluster: NamePath) -> Response:
        return await passed_on(bus, GetClusterLimits(cluster=cluster))

    @api.put("/clusters/{cluster}/limits", response_model=ClusterLimits)
    async def set_limits(cluster: NamePath, body: ClusterLimitsBody) -> Response:
        return await passed_on(bus, SetClusterLimits(cluster=cluster, limits=body))

    return api
