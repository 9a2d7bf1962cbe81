"""`/nodes/{node}/lxc/{vmid}/snapshot` and `feature`: what was, and whether it can be stored."""

from slipway.lab.api.call import GUEST, Call, Routes, Row, index, on_guest
from slipway.lab.host import options, snapshots
from slipway.lab.host.configs import shown
from slipway.lab.host.tasks import Body
from slipway.lab.problems import Refused


def listed(call: Call) -> list[Row]:
    """List snapshots, and now as the one called `current`."""
    present = call.machine.configs.get(call.vmid)
    rows: list[Row] = [
        {"name": name, "snaptime": one["snaptime"], "description": one["description"]}
        | ({"parent": one["parent"]} if one["parent"] else {})
        for name, one in snapshots.stored(call.machine, call.vmid).items()
    ]
    now: Row = {
        "name": "current",
        "description": "You are here!",
        "running": int(call.machine.is_running(call.vmid)),
        "digest": call.machine.configs.digest(call.vmid),
    }
    return [*rows, now | ({"parent": present["parent"]} if "parent" in present else {})]


def show(call: Call) -> Row:
    """Show what one remembers."""
    machine, name = call.machine, call.params["snapname"]
    config = snapshots.config_of(machine, call.vmid, name)
    snapshot = snapshots.stored(machine, call.vmid)[name]
    beside: Row = {"snaptime": snapshot["snaptime"]} | (
        {"parent": snapshot["parent"]} if snapshot["parent"] else {}
    )
    return shown(config, machine.configs.digest(call.vmid)) | beside


def describe(call: Call) -> None:
    """Change a description."""
    if "description" in call.params:
        snapshots.describe(call.machine, call.vmid, call.params["snapname"], call.params["description"])


def make(call: Call) -> str:
    """Begin a snapshot."""
    name = call.params["snapname"]
    if name in snapshots.RESERVED:
        raise Refused(f"unable to use snapshot name '{name}' (reserved name)")
    body = snapshots.take(call.machine, call.vmid, name, call.params.get("description", ""))
    return _start(call, "vzsnapshot", body)


def remove(call: Call) -> str:
    """Begin the removal of a snapshot."""
    return _start(call, "vzdelsnapshot", snapshots.removing(call.machine, call.vmid, call.params["snapname"]))


def roll_back(call: Call) -> str:
    """Begin a rollback."""
    name, starts = call.params["snapname"], call.flag("start")
    body = snapshots.rolling_back(call.machine, call.actor, call.vmid, name, starts=starts)
    return _start(call, "vzrollback", body)


def feature(call: Call) -> Row:
    """Return whether all storages can do it: copies always, snapshots by storage, linked clones from one."""
    config, feature = call.machine.configs.get(call.vmid), call.params["feature"]
    if (name := call.params.get("snapname")) is not None:
        config = snapshots.config_of(call.machine, call.vmid, name)
    has = feature == "copy" or snapshots.possible(call.machine, config)
    if feature == "clone":
        has = has and name is not None and bool(options.volumes(config))
    return {"hasFeature": int(has)}


def _start(call: Call, kind: str, body: Body) -> str:
    return call.machine.tasks.start(kind, str(call.vmid), call.actor.name, body)


SNAPSHOT = f"{GUEST}/snapshot/{{snapname}}"
ROUTES: Routes = {
    f"GET {GUEST}/feature": on_guest(feature, "VM.Audit"),
    f"GET {GUEST}/snapshot": on_guest(listed, "VM.Audit"),
    f"POST {GUEST}/snapshot": on_guest(make, "VM.Snapshot"),
    f"GET {SNAPSHOT}": index("rollback", "config", key="cmd"),
    f"GET {SNAPSHOT}/config": on_guest(
        show, "VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit", any_right=True
    ),
    f"PUT {SNAPSHOT}/config": on_guest(describe, "VM.Snapshot"),
    f"DELETE {SNAPSHOT}": on_guest(remove, "VM.Snapshot"),
    f"POST {SNAPSHOT}/rollback": on_guest(roll_back, "VM.Snapshot", "VM.Snapshot.Rollback", any_right=True),
}
