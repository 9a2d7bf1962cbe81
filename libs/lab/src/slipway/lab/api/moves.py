"""`clone` and `migrate`: a container's copies, and its way to another node."""

from typing import Any

from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import clone, ha


async def copy(call: Call) -> str:
    """Begin a copy."""
    return await clone.clone(call.machine, call.actor, call.vmid, call.given)


def move(call: Call) -> str:
    """Begin a move to another node."""
    return ha.move(call.machine, call.actor, call.vmid, call.given)


def migration(call: Call) -> dict[str, Any]:
    """Say what a move would meet; storages are not looked at (PVE 9.2, by its schema)."""
    call.machine.configs.get(call.vmid)
    return {
        "running": int(call.machine.is_running(call.vmid)),
        "allowed-nodes": [one.node for one in call.members if one is not call.machine],
        "not-allowed-nodes": {},
    }


CONTAINER = "/nodes/{node}/lxc/{vmid}"
ROUTES: Routes = {
    f"POST {CONTAINER}/clone": Route(handler=copy, path="/vms/{vmid}", rights=("VM.Clone",)),
    f"GET {CONTAINER}/migrate": Route(handler=migration, path="/vms/{vmid}", rights=("VM.Migrate",)),
    f"POST {CONTAINER}/migrate": Route(handler=move, path="/vms/{vmid}", rights=("VM.Migrate",)),
}
