"""`/cluster` and `/nodes`: one node that is no member of a cluster."""

import time
from typing import Any

from slipway.lab.access.actors import Actor
from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import hardware, templates
from slipway.lab.host.machine import Machine
from slipway.lab.host.options import MAC_PREFIX
from slipway.lab.host.rights import ZONE
from slipway.lab.host.storages import HOST_CACHE, TEMPLATE_STORAGE
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

Row = dict[str, Any]
_FINISHED_SHOWN = 25


def cluster_status(call: Call) -> list[Row]:
    """List the only member; a lone node has no row for the cluster."""
    machine = call.machine
    place = {"id": f"node/{machine.node}", "type": "node", "name": machine.node, "ip": machine.address}
    return [place | {"nodeid": 0, "online": 1, "local": 1, "level": ""}]


def resources(call: Call) -> list[Row]:
    """List what the caller may see; as old as the last look around."""
    machine, actor = call.machine, call.actor
    rows = [row for row in call.observer.resources() if actor.may(f"/vms/{row['vmid']}", "VM.Audit")]
    rows.append(_node_row(machine, actor) | {"cgroup-mode": 2})
    rows += [_storage_row(machine, name) for name in _visible_storages(call)]
    if actor.may_any(ZONE, ("SDN.Audit", "SDN.Use")):
        rows.append(_zone_row(machine))
    kinds = {"vm": ("lxc",), "storage": ("storage",), "node": ("node",), "sdn": ("network",)}
    wanted = kinds.get(call.given.get("type", ""))
    return [row for row in rows if wanted is None or row["type"] in wanted]


def _visible_storages(call: Call) -> list[str]:
    rights = ("Datastore.Audit", "Datastore.AllocateSpace")
    names = (storage.name for storage in call.machine.storages.all())
    return [name for name in names if call.actor.may_any(f"/storage/{name}", rights)]


def _storage_row(machine: Machine, name: str) -> Row:
    storage = machine.storages.get(name)
    return {
        "id": f"storage/{machine.node}/{name}",
        "type": "storage",
        "node": machine.node,
        "storage": name,
        "status": "available" if storage.is_enabled else "unknown",
        "plugintype": storage.type,
        "content": ",".join(storage.content),
        "shared": 0,
        "disk": machine.storages.used_bytes(storage),
        "maxdisk": storage.total_bytes,
    }


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
    """Give a free number, as text; it is not reserved."""
    wanted = call.number("vmid")
    if wanted is None:
        return str(call.machine.configs.next_vmid())
    if wanted in call.machine.configs:
        raise bad_parameters({"vmid": f"VM {wanted} already exists"})
    return str(wanted)


def options(call: Call) -> Row:
    """Show the datacenter's options."""
    configs = (call.machine.configs.get(vmid) for vmid in call.machine.configs.vmids())
    tags = {tag for config in configs for tag in config.get("tags", "").split(";") if tag}
    return {"allowed-tags": sorted(tags), "description": "", "mac_prefix": MAC_PREFIX}


def tasks(call: Call) -> list[Row]:
    """List the latest tasks that the caller may see."""
    may_all = call.actor.may(f"/nodes/{call.machine.node}", "Sys.Audit")
    works = [work for work in call.machine.tasks.all() if may_all or work.upid.actor == call.actor.name]
    ended = [work for work in works if not work.is_running][:_FINISHED_SHOWN]
    return [_task_row(work) for work in works if work.is_running or work in ended]


def _task_row(work: Work) -> Row:
    row: Row = work.upid.fields()
    del row["pstart"]
    if work.is_running:
        return row | {"saved": "0"}
    del row["pid"]
    return row | {"saved": "1", "status": work.exit_status, "endtime": work.ended}


def nodes(call: Call) -> list[Row]:
    """List the node; without `Sys.Audit` there are no figures."""
    return [_node_row(call.machine, call.actor) | {"ssl_fingerprint": call.machine.fingerprint}]


def _node_row(machine: Machine, actor: Actor) -> Row:
    row: Row = {
        "id": f"node/{machine.node}",
        "node": machine.node,
        "type": "node",
        "status": "online",
        "level": "",
    }
    return row | hardware.figures(machine) if actor.may(f"/nodes/{machine.node}", "Sys.Audit") else row


def networks(call: Call) -> list[Row]:
    """List the bridges and the network card under them."""
    wanted = call.given.get("type", "")
    rows = [_bridge(name, cidr, n) for n, (name, cidr) in enumerate(call.machine.guests.bridges().items())]
    if not call.actor.may(f"/nodes/{call.machine.node}", "Sys.Audit"):
        rows = [row for row in rows if call.actor.may_any(f"{ZONE}/{row['iface']}", ("SDN.Audit", "SDN.Use"))]
    card = {"iface": "eth0", "type": "eth", "active": 1, "method": "manual", "method6": "manual"}
    if wanted in ("bridge", "any_bridge", "any_local_bridge", "include_sdn"):
        return rows
    cards = [card | {"families": ["inet"], "priority": 3}]
    return {"": [*rows, *cards], "eth": cards}.get(wanted, [])


def _bridge(name: str, cidr: str, number: int) -> Row:
    address, _, prefix = cidr.partition("/")
    return {
        "iface": name,
        "type": "bridge",
        "active": 1,
        "autostart": 1,
        "families": ["inet"],
        "method": "static",
        "method6": "manual",
        "address": address,
        "netmask": prefix,
        "cidr": cidr,
        "gateway": address,
        "bridge_ports": "eth0",
        "bridge_stp": "off",
        "bridge_fd": "0",
        "priority": 4 + number,
    }


def download(call: Call) -> str:
    """Download an OS template; in the lab it is made from the archive of its guests."""
    machine, name, storage = call.machine, call.given["template"], call.given["storage"]
    if name not in (one["template"] for one in templates.appliances()):
        raise bad_parameters({"template": "no such template"})
    if storage != TEMPLATE_STORAGE:
        raise Refused(f"storage '{storage}' does not support content type 'vztmpl'")

    source, target = f"{templates.SOURCE}/{name}", f"{HOST_CACHE}/{name}"

    async def body(work: Work) -> None:
        work.log(f"downloading {source} to {target}")
        await machine.faults.at_task("middle", work)
        machine.storages.download(name, machine.storages.offered()[0])
        work.log("calculating checksum...OK, checksum verified")
        work.log(f"download of '{source}' to '{target}' finished")

    return machine.tasks.start("download", name, call.actor.name, body)


def clock(_call: Call) -> Row:
    """Tell the time."""
    now = int(time.time())
    return {"time": now, "localtime": now, "timezone": "Etc/UTC"}


def _index(*names: str) -> Route:
    return Route(handler=lambda _call: [{"name": name} for name in names])


ROUTES: Routes = {
    "GET /cluster": _index("nextid", "options", "resources", "status", "tasks"),
    "GET /cluster/status": Route(handler=cluster_status, path="/", rights=("Sys.Audit",)),
    "GET /cluster/resources": Route(handler=resources),
    "GET /cluster/nextid": Route(handler=next_vmid),
    "GET /cluster/options": Route(handler=options, path="/", rights=("Sys.Audit",)),
    "GET /cluster/tasks": Route(handler=tasks),
    "GET /nodes": Route(handler=nodes),
    "GET /nodes/{node}": _index("aplinfo", "dns", "lxc", "network", "status", "storage", "tasks", "time"),
    "GET /nodes/{node}/aplinfo": Route(handler=lambda _call: templates.appliances()),
    "POST /nodes/{node}/aplinfo": Route(
        handler=download, path="/storage/{storage}", rights=("Datastore.AllocateTemplate",)
    ),
    "GET /nodes/{node}/dns": Route(
        handler=lambda call: {"dns1": call.machine.address}, path="/nodes/{node}", rights=("Sys.Audit",)
    ),
    "GET /nodes/{node}/network": Route(handler=networks),
    "GET /nodes/{node}/status": Route(
        handler=lambda call: hardware.status(call.machine), path="/nodes/{node}", rights=("Sys.Audit",)
    ),
    "GET /nodes/{node}/time": Route(handler=clock, path="/nodes/{node}", rights=("Sys.Audit",)),
}
