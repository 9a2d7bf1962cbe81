"""All calls that the lab answers, with their handlers."""

from collections.abc import Mapping

from slipway.lab.api import (
    access,
    backups,
    cluster,
    containers,
    network,
    pools,
    snapshots,
    storage,
    surroundings,
    tasks,
    volumes,
)
from slipway.lab.api.call import Route

_MODULES = (
    access,
    cluster,
    network,
    storage,
    tasks,
    containers,
    snapshots,
    backups,
    volumes,
    pools,
    surroundings,
)
ROUTES: Mapping[str, Route] = {call: route for module in _MODULES for call, route in module.ROUTES.items()}
