"""What a client may look at besides containers: HA, the log, other kinds of guests, consoles.

Answered as far as it was recorded (PVE 9.2). What would have to act, a console or a moved disk, is refused.
"""

import hashlib
import time
from collections.abc import Iterator

from slipway.lab.api.call import GUEST, Call, Route, Routes, Row, index, on_cluster, on_guest, on_node
from slipway.lab.faults import HaManaged
from slipway.lab.host import ha, hardware
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused

LOG_LINES = 50
RRD_STEPS = {"hour": 60, "day": 1800, "week": 10800, "month": 43200, "year": 604800, "decade": 604800}
RRD_POINTS = 70
_PROCESSORS = tuple(
    {"name": name, "vendor": "default", "custom": 0} for name in ("host", "kvm64", "max", "qemu64")
)
_NO_PORT = "Timeout while waiting for port '5900' to get ready!"


def ha_status(call: Call) -> list[Row]:
    """Show the quorum, the fencing, and with HA guests the manager, its hands and the guests."""
    members, me = call.members, call.machine.node
    online = sum(one.is_online for one in members)
    quorum = {"id": "quorum", "type": "quorum", "node": me, "status": "OK", "quorate": 1}
    if 2 * online <= len(members):
        quorum |= {"status": "No quorum on node 'localhost'!", "quorate": 0}
    managed = list(_managed(call))
    armed = "armed" if managed else "standby"
    fencing = {"id": "fencing", "type": "fencing", "node": me, "armed-state": armed}
    fencing["status"] = "armed (CRM watchdog armed)" if managed else "standby (CRM watchdog standby)"
    if not managed:
        return [quorum, fencing]
    services = [_service(home, order) for home, order in managed]
    return [quorum, _manager("master", call.machine), *(_manager("lrm", one) for one in members), *services]


def _manager(kind: str, machine: Machine) -> Row:
    now = int(machine.now())
    when = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(now))
    word = "active" if machine.is_online else "old timestamp - dead?"
    name = kind if kind == "master" else f"{kind}:{machine.node}"
    row = {"id": name, "type": kind, "node": machine.node, "timestamp": now}
    return row | {"status": f"{machine.node} ({word}, {when})"}


def _service(home: Machine, order: HaManaged) -> Row:
    sid, state = f"ct:{order.vmid}", str(ha.shown(home, order.vmid)["state"])
    row = {"id": f"service:{sid}", "type": "service", "sid": sid, "node": home.node, "state": state}
    row |= {"status": f"{sid} ({home.node}, {state})", "crm_state": state, "request_state": state}
    return row | {"max_restart": 1, "max_relocate": 1}


def _managed(call: Call) -> Iterator[tuple[Machine, HaManaged]]:
    for order in call.machine.faults.all(HaManaged):
        if (home := call.machine.home_of(order.vmid)) is not None:
            yield home, order


def ha_resources(call: Call) -> list[Row]:
    """List the guests that the HA manager looks after."""
    rows = [_resource(home, order) for home, order in _managed(call)]
    return [row for row in rows if call.params.get("type", row["type"]) == row["type"]]


def ha_resource(call: Call) -> Row:
    """Show one of them."""
    sid = call.params["sid"]
    for home, order in _managed(call):
        if sid in (f"ct:{order.vmid}", str(order.vmid)):
            return _resource(home, order)
    raise Refused(f"no such resource '{sid}'")


def _resource(home: Machine, order: HaManaged) -> Row:
    state = ha.shown(home, order.vmid)["state"]
    row = {"sid": f"ct:{order.vmid}", "type": "ct", "state": state, "max_restart": 1, "max_relocate": 1}
    return row | {"digest": hashlib.sha1(str(row).encode(), usedforsecurity=False).hexdigest()}


def log(call: Call) -> list[Row]:
    """List the latest lines of the cluster's log: begins and ends of tasks."""
    may_all = call.actor.may("/", "Sys.Syslog")
    lines = [
        line
        for machine in call.members
        for work in machine.tasks.all()
        if may_all or work.upid.actor == call.actor.name
        for line in _lines(work)
    ]
    lines.sort(key=lambda line: (line["time"], line["pid"]), reverse=True)
    numbered = [
        line | {"uid": str(number), "id": f"{number}:{line['node']}"}
        for number, line in zip(range(len(lines), 0, -1), lines, strict=True)
    ]
    return numbered[: call.number("max") or LOG_LINES]


def _lines(work: Work) -> Iterator[Row]:
    """Write a task's lines, the last first."""
    upid = work.upid
    row = {"node": upid.node, "user": upid.actor, "tag": "pvedaemon", "pid": upid.pid, "pri": 6}
    if not work.is_running:
        is_fine = str(work.exit_status).startswith(("OK", "WARNINGS"))
        ended = {"time": work.ended, "msg": f"end task {upid} {work.exit_status}"}
        yield row | ended | {"pri": 6 if is_fine else 3}
    yield row | {"time": upid.starttime, "msg": f"starting task {upid}"}


def averages(call: Call) -> list[Row]:
    """Show the node's figures over time: of the last moment only, as it has just been switched on."""
    step, now = RRD_STEPS[call.params["timeframe"]], int(call.machine.now())
    last = now // step * step
    rows: list[Row] = [{"time": last - back * step} for back in range(RRD_POINTS - 1, -1, -1)]
    rows[-1] |= hardware.averages(call.machine)
    return rows


def machines(call: Call) -> list[Row]:
    """List virtual machines: those that orders show on this node."""
    rows = call.machine.faults.foreign_guests().values()
    mine = (row for row in rows if row["type"] == "qemu" and row.get("node") == call.machine.node)
    return [dict(row) for row in mine if call.actor.may(f"/vms/{row['vmid']}", "VM.Audit")]


def pci(call: Call) -> list[Row]:
    """List PCI devices without those of the classes that are left out."""
    left_out = call.params.get("pci-class-blacklist", "05;06;0b").split(";")
    rows = [row for row in hardware.PCI if row["class"].removeprefix("0x")[:2] not in left_out]
    if call.params.get("verbose", "1") == "1":
        return [dict(row) for row in rows]
    return [{"id": row["id"]} for row in rows]


def console(call: Call) -> None:
    """Refuse a console in the words of a node whose terminal does not come up."""
    call.machine.configs.get(call.vmid)
    raise Refused(_NO_PORT)


def move(call: Call) -> None:
    """Refuse to move a disk."""
    call.machine.configs.get(call.vmid)
    if call.machine.is_running(call.vmid):
        raise Refused("cannot move volumes of a running container")
    raise Refused("the lab moves no volumes", status=501)


ROUTES: Routes = {
    "GET /cluster/ha": on_cluster(lambda _call: [{"id": name} for name in ("status", "resources", "rules")]),
    "GET /cluster/ha/status": index("current", "manager_status"),
    "GET /cluster/ha/status/current": on_cluster(ha_status),
    "GET /cluster/ha/resources": on_cluster(ha_resources),
    "GET /cluster/ha/resources/{sid}": on_cluster(ha_resource),
    "GET /cluster/log": Route(handler=log),
    "GET /nodes/{node}/capabilities/qemu/cpu": Route(handler=lambda _call: list(_PROCESSORS)),
    "GET /nodes/{node}/hardware": index("pci", "usb", key="type"),
    "GET /nodes/{node}/hardware/pci": Route(
        handler=pci, path="/", rights=("Sys.Audit", "Sys.Modify"), any_right=True
    ),
    "GET /nodes/{node}/qemu": Route(handler=machines),
    "GET /nodes/{node}/rrddata": on_node(averages),
    f"POST {GUEST}/termproxy": on_guest(console, "VM.Console"),
    f"POST {GUEST}/vncproxy": on_guest(console, "VM.Console"),
    f"POST {GUEST}/move_volume": on_guest(move, "VM.Config.Disk"),
}
