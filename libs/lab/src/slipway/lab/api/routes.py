"""All calls that the lab answers, with their handlers."""

from collections.abc import Mapping

from slipway.lab.api import (
    access,
    backups,
    cluster,
    containers,
    pools,
    snapshots,
    storage,
    surroundings,
    tasks,
    volumes,
)
from slipway.lab.api.call import Route

ROUTES: Mapping[str, Route] = {
    **access.ROUTES,
    **cluster.ROUTES,
    **storage.ROUTES,
    **tasks.ROUTES,
    **containers.ROUTES,
    **snapshots.ROUTES,
    **backups.ROUTES,
    **volumes.ROUTES,
    **pools.ROUTES,
    **surroundings.ROUTES,
}
