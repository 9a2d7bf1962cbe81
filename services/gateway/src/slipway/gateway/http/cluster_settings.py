"""`/api/v1/clusters/{cluster}/limits` and `.../defaults`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.cluster_settings import (
    NO_DEFAULTS,
    ClusterLimits,
    GetClusterLimits,
    GetSiteDefaults,
    SetClusterLimits,
    SetSiteDefaults,
    SiteDefaults,
)
from slipway.gateway.cluster_bodies import ClusterLimitsBody, SiteDefaultsBody
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

    @api.get("/clusters/{cluster}/defaults", response_model=SiteDefaults)
    async def get_defaults(cluster: NamePath) -> Response:
        return await passed_on(bus, GetSiteDefaults(cluster=cluster))

    @api.put("/clusters/{cluster}/defaults", response_model=SiteDefaults)
    async def set_defaults(cluster: NamePath, body: SiteDefaultsBody) -> Response:
        return await passed_on(bus, SetSiteDefaults(cluster=cluster, defaults=body))

    @api.delete("/clusters/{cluster}/defaults", response_model=SiteDefaults)
    async def clear_defaults(cluster: NamePath) -> Response:
        return await passed_on(bus, SetSiteDefaults(cluster=cluster, defaults=NO_DEFAULTS))

    return api
