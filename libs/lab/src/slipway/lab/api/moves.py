"""`clone` and `migrate`: a container's copies, and its way to another node, of which the lab has none."""

from typing import Any

from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import clone
from slipway.lab.problems import Refused, bad_parameters


async def copy(call: Call) -> str:
    """Begin a copy."""
    return await clone.clone(call.machine, call.actor, call.vmid, call.given)


def migrate(call: Call) -> str:
    """Refuse to move a container: this node is the whole cluster."""
    if (target := call.given["target"]) == call.machine.node:
        raise bad_parameters({"target": "target is local node."})
    raise Refused(f"no such cluster node '{target}'")


def migration(call: Call) -> dict[str, Any]:
    """Say what a move would meet."""
    call.machine.configs.get(call.vmid)
    running = int(call.machine.guests.is_running(call.vmid))
    return {"running": running, "allowed-nodes": [], "not-allowed-nodes": {}}


CONTAINER = "/nodes/{node}/lxc/{vmid}"
ROUTES: Routes = {
    f"POST {CONTAINER}/clone": Route(handler=copy, path="/vms/{vmid}", rights=("VM.Clone",)),
    f"GET {CONTAINER}/migrate": Route(handler=migration, path="/vms/{vmid}", rights=("VM.Migrate",)),
    f"POST {CONTAINER}/migrate": Route(handler=migrate, path="/vms/{vmid}", rights=("VM.Migrate",)),
}
