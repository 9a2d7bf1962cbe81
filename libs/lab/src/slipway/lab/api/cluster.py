"""`/cluster` and `/nodes`: the nodes; a lone one is no member of a cluster."""

from slipway.lab.access.actors import Actor
from slipway.lab.api import access
from slipway.lab.api.call import Call, Route, Routes, Row, index, on_cluster, on_node
from slipway.lab.host import hardware, templates
from slipway.lab.host.machine import Machine
from slipway.lab.host.options import MAC_PREFIX
from slipway.lab.host.rights import ZONE
from slipway.lab.host.storages import HOST_CACHE, TEMPLATE_STORAGE
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

_FINISHED_SHOWN = 25
CLUSTER = "lab"


def cluster_status(call: Call) -> list[Row]:
    """List the members; a lone node has number 0 and no row for the cluster."""
    members = call.members
    rows = [_member_row(call, one) for one in members]
    if len(call.machine.neighbours) == 1:
        return rows
    online = sum(one.is_online for one in members)
    quorate = int(2 * online > len(members))
    about = {"id": "cluster", "type": "cluster", "name": CLUSTER, "version": len(members)}
    return [about | {"nodes": len(members), "quorate": quorate}, *rows]


def _member_row(call: Call, machine: Machine) -> Row:
    place = {"id": f"node/{machine.node}", "type": "node", "name": machine.node, "ip": machine.address}
    number = call.machine.neighbours.index(machine) + 1 if len(call.machine.neighbours) > 1 else 0
    answers = machine is call.machine
    return place | {"nodeid": number, "online": int(machine.is_online), "local": int(answers), "level": ""}


def resources(call: Call) -> list[Row]:
    """List what the caller may see; as old as the last look around."""
    rows = [row for one in call.members for row in _guest_rows(call, one)]
    rows += [
        _node_row(one, call.actor) | ({"cgroup-mode": 2} if one.is_online else {}) for one in call.members
    ]
    rows += [_storage_row(one, name) for one in call.members for name in _visible_storages(call, one)]
    if call.actor.may_any(ZONE, ("SDN.Audit", "SDN.Use")):
        rows += [_zone_row(one) for one in call.members]
    return rows


def _guest_rows(call: Call, machine: Machine) -> list[Row]:
    rows = call.observers[machine.condition.first_name].resources()
    return [row for row in rows if call.actor.may(f"/vms/{row['vmid']}", "VM.Audit")]


def _visible_storages(call: Call, machine: Machine) -> list[str]:
    rights = ("Datastore.Audit", "Datastore.AllocateSpace")
    names = (storage.name for storage in machine.storages.all())
    return [name for name in names if call.actor.may_any(f"/storage/{name}", rights)]


def _storage_row(machine: Machine, name: str) -> Row:
    storage = machine.storages.get(name)
    row: Row = {
        "id": f"storage/{machine.node}/{name}",
        "type": "storage",
        "node": machine.node,
        "storage": name,
        "status": "available" if storage.is_enabled and machine.is_online else "unknown",
        "plugintype": storage.type,
        "content": ",".join(storage.content),
        "shared": int(storage.is_shared),
    }
    if not machine.is_online:
        return row
    return row | {"disk": machine.storages.used_bytes(storage), "maxdisk": storage.total_bytes}


def _zone_row(machine: Machine) -> Row:
    return {
        "id": f"network/{machine.node}/zone/localnetwork",
        "type": "network",
        "network": "localnetwork",
        "network-type": "zone",
        "node": machine.node,
        "status": "ok",
    }


def next_vmid(call: Call) -> str:
    """Return a free number, as text; it is not reserved."""
    vmid = call.number("vmid")
    if vmid is None:
        return str(call.machine.next_vmid())
    if call.machine.is_taken(vmid):
        raise bad_parameters({"vmid": f"VM {vmid} already exists"})
    return str(vmid)


def options(call: Call) -> Row:
    """Show the datacenter's options."""
    configs = (one.configs.get(vmid) for one in call.members for vmid in one.configs.vmids())
    tags = {tag for config in configs for tag in config.get("tags", "").split(";") if tag}
    return {"allowed-tags": sorted(tags), "description": "", "mac_prefix": MAC_PREFIX}


def tasks(call: Call) -> list[Row]:
    """List the latest tasks that the caller may see, of all nodes."""
    return [_task_row(work) for one in call.members for work in _latest(call, one)]


def _latest(call: Call, machine: Machine) -> list[Work]:
    may_all = call.actor.may(f"/nodes/{machine.node}", "Sys.Audit")
    works = [work for work in machine.tasks.all() if may_all or work.upid.actor == call.actor.name]
    ended = [work for work in works if not work.is_running][:_FINISHED_SHOWN]
    return [work for work in works if work.is_running or work in ended]


def _task_row(work: Work) -> Row:
    row: Row = work.upid.fields()
    del row["pstart"]
    if work.is_running:
        return row | {"saved": "0"}
    del row["pid"]
    return row | {"saved": "1", "status": work.exit_status, "endtime": work.ended}


def nodes(call: Call) -> list[Row]:
    """List the nodes; of one that is away, or without `Sys.Audit`, there are no figures."""
    return [
        _node_row(one, call.actor) | {"ssl_fingerprint": one.certificates.fingerprint} for one in call.members
    ]


def _node_row(machine: Machine, actor: Actor) -> Row:
    row: Row = {
        "id": f"node/{machine.node}",
        "node": machine.node,
        "type": "node",
        "status": "online" if machine.is_online else "offline",
        "level": "",
    }
    may_see = machine.is_online and actor.may(f"/nodes/{machine.node}", "Sys.Audit")
    return row | hardware.figures(machine) if may_see else row


def download(call: Call) -> str:
    """Download an OS template; in the lab it is made from the archive of its guests."""
    machine, name, storage = call.machine, call.params["template"], call.params["storage"]
    if name not in (one["template"] for one in templates.appliances()):
        raise bad_parameters({"template": "no such template"})
    configured = machine.storages.get(storage)
    if not configured.is_enabled:
        raise Refused(f"storage '{storage}' is disabled")
    if "vztmpl" not in configured.content or storage != TEMPLATE_STORAGE:
        raise Refused(f"storage '{storage}' does not support templates")

    source, target = f"{templates.SOURCE}/{name}", f"{HOST_CACHE}/{name}"

    async def body(work: Work) -> None:
        work.log(f"downloading {source} to {target}")
        archive = machine.storages.offered()[0]
        progress = templates.wget_lines(archive.stat().st_size)
        for line in progress[: len(progress) // 2]:
            work.log(line)
        await machine.faults.at_task("middle", work)
        for line in progress[len(progress) // 2 :]:
            work.log(line)
        machine.storages.download(name, archive)
        work.log("calculating checksum...OK, checksum verified")
        work.log(f"download of '{source}' to '{target}' finished")

    return machine.tasks.start("download", "", call.actor.name, body)


def clock(call: Call) -> Row:
    """Return the time."""
    now = int(call.machine.now())
    return {"time": now, "localtime": now, "timezone": "Etc/UTC"}


_OF_NODE = (
    *("aplinfo", "certificates", "dns", "hardware", "lxc", "network", "qemu", "rrddata", "status", "storage"),
    *("tasks", "time", "version", "vzdump"),
)
ROUTES: Routes = {
    "GET /cluster": index("ha", "log", "nextid", "options", "resources", "sdn", "status", "tasks"),
    "GET /cluster/status": on_cluster(cluster_status),
    "GET /cluster/resources": Route(handler=resources),
    "GET /cluster/nextid": Route(handler=next_vmid),
    "GET /cluster/options": on_cluster(options),
    "GET /cluster/tasks": Route(handler=tasks),
    "GET /nodes": Route(handler=nodes),
    "GET /nodes/{node}": index(*_OF_NODE),
    "GET /nodes/{node}/aplinfo": Route(handler=lambda _call: templates.appliances()),
    "POST /nodes/{node}/aplinfo": Route(
        handler=download, path="/storage/{storage}", rights=("Datastore.AllocateTemplate",)
    ),
    "GET /nodes/{node}/certificates": index("acme", "info", "custom"),
    "GET /nodes/{node}/certificates/info": Route(handler=lambda call: call.machine.certificates.shown()),
    "GET /nodes/{node}/dns": on_node(lambda call: {"dns1": call.machine.address}),
    "GET /nodes/{node}/status": on_node(lambda call: hardware.status(call.machine)),
    "GET /nodes/{node}/version": Route(handler=access.version),
    "GET /nodes/{node}/time": on_node(clock),
}
