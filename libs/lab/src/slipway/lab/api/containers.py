"""`/nodes/{node}/lxc`: containers, their configuration and their power."""

from slipway.lab.api.call import GUEST, Call, Handler, Route, Routes, Row, on_guest
from slipway.lab.guests import addresses
from slipway.lab.host import change, clone, create, ha, pending, power, restore, snapshots
from slipway.lab.host.configs import shown
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

_ADDRESSING = ("node", "vmid", "delete", "digest", "revert")
_CONFIG_RIGHTS = tuple(f"VM.Config.{what}" for what in ("Disk", "CPU", "Memory", "Network", "Options"))


async def containers(call: Call) -> list[Row]:
    """List the containers that the caller may see; others are left out, not refused."""
    rows = await call.observer.containers()
    return [row for row in rows if call.actor.may(f"/vms/{row['vmid']}", "VM.Audit")]


async def create_container(call: Call) -> str:
    """Create a container, or restore one."""
    if call.flag("restore"):
        return await restore.restore(call.machine, call.actor, call.params)
    return await create.create(call.machine, call.actor, call.params)


def delete_container(call: Call) -> str:
    """Destroy a container with its disks."""
    machine, vmid, forces = call.machine, call.vmid, call.flag("force")
    change.check_destroyable(machine, vmid, forces=forces)
    ha.check_removable(machine, vmid, purges=call.flag("purge"))
    destroy = change.destroying(
        machine,
        vmid,
        forces=forces,
        purges=call.flag("purge"),
        all_disks=call.flag("destroy-unreferenced-disks"),
    )

    async def body(work: Work) -> None:
        await destroy(work)
        machine.faults.end_managing(vmid)

    return machine.tasks.start("vzdestroy", str(vmid), call.actor.name, body)


def config(call: Call) -> Row:
    """Show a configuration as it will be after the next start, as it is (`current`), or a snapshot's."""
    name, configs = call.params.get("snapshot"), call.machine.configs
    if name and call.flag("current"):
        conflict = "cannot use 'snapshot' parameter with 'current'"
        raise bad_parameters({"snapshot": conflict, "current": conflict})
    if name:
        shown_config = snapshots.config_of(call.machine, call.vmid, name)
    elif call.flag("current"):
        shown_config = configs.get(call.vmid)
    else:
        shown_config = pending.merged(configs.get(call.vmid), configs.pending(call.vmid))
    return shown(shown_config, configs.digest(call.vmid))


def show_pending(call: Call) -> list[pending.Row]:
    """List what is and what waits for the next start."""
    configs = call.machine.configs
    return pending.rows(configs.get(call.vmid), configs.pending(call.vmid), configs.digest(call.vmid))


async def change_config(call: Call) -> None:
    """Set and remove options, and forget what waits."""
    values = {key: value for key, value in call.params.items() if key not in _ADDRESSING}
    if not values and not {"delete", "revert"} & set(call.params):
        raise Refused("no options specified")
    request = change.Change(
        values=values,
        removed=call.words("delete"),
        reverted=call.words("revert"),
        digest=call.params.get("digest"),
    )
    await change.change(call.machine, call.actor, call.vmid, request)


async def copy(call: Call) -> str:
    """Begin a copy."""
    return await clone.clone(call.machine, call.actor, call.vmid, call.params)


def migration(call: Call) -> Row:
    """Return what a move would meet; storages are not looked at (PVE 9.2, by its schema)."""
    call.machine.configs.get(call.vmid)
    return {
        "running": int(call.machine.is_running(call.vmid)),
        "allowed-nodes": [one.node for one in call.members if one is not call.machine],
        "not-allowed-nodes": {},
    }


def resize(call: Call) -> str:
    """Grow a disk."""
    machine, vmid, actor = call.machine, call.vmid, call.actor
    disk, size = call.params["disk"], call.params["size"]
    change.check_resize(machine, actor, vmid, disk, size, digest=call.params.get("digest"))

    async def body(_work: Work) -> None:
        await change.resize(machine, actor, vmid, disk, size)

    return machine.tasks.start("resize", str(vmid), actor.name, body)


async def current(call: Call) -> Row:
    """Show a container as it is now."""
    return await call.observer.container(call.vmid) | {"ha": ha.shown(call.machine, call.vmid)}


async def interfaces(call: Call) -> list[Row] | None:
    """List the interfaces inside; null when it does not run."""
    call.machine.configs.get(call.vmid)
    if not call.machine.is_running(call.vmid):
        return None
    seen = await addresses.interfaces(call.machine.guests, call.vmid)
    return [_interface(one.name, one.hwaddr, {"inet": one.inet, "inet6": one.inet6}) for one in seen]


def _interface(name: str, hwaddr: str, addresses: dict[str, str | None]) -> Row:
    present = {family: address for family, address in addresses.items() if address}
    rows = []
    for family, address in present.items():
        host, _, prefix = address.partition("/")
        rows.append({"ip-address": host, "prefix": prefix, "ip-address-type": family})
    address_of = hwaddr.lower()
    row: Row = {"name": name, "hwaddr": address_of, "hardware-address": address_of, "ip-addresses": rows}
    return row | present


def history(call: Call) -> list[Row]:
    """Show averages over time."""
    call.machine.configs.get(call.vmid)
    return call.observer.history(call.vmid, call.params["timeframe"])


def _index(*names: str) -> Route:
    def handler(call: Call) -> list[Row]:
        call.machine.configs.get(call.vmid)
        return [{"subdir": name} for name in names]

    return Route(handler=handler)


def _reading(handler: Handler) -> Route:
    return on_guest(handler, "VM.Audit")


def _power(handler: Handler) -> Route:
    return on_guest(handler, "VM.PowerMgmt")


CHILDREN = ("config", "pending", "status", "rrddata", "feature", "interfaces", "resize")
ROUTES: Routes = {
    "GET /nodes/{node}/lxc": Route(handler=containers),
    "POST /nodes/{node}/lxc": Route(handler=create_container),
    f"GET {GUEST}": _index(*CHILDREN),
    f"DELETE {GUEST}": on_guest(delete_container, "VM.Allocate"),
    f"GET {GUEST}/config": _reading(config),
    f"PUT {GUEST}/config": on_guest(change_config, *_CONFIG_RIGHTS, any_right=True),
    f"POST {GUEST}/clone": on_guest(copy, "VM.Clone"),
    f"GET {GUEST}/migrate": on_guest(migration, "VM.Migrate"),
    f"POST {GUEST}/migrate": on_guest(
        lambda call: ha.move(call.machine, call.actor, call.vmid, call.params), "VM.Migrate"
    ),
    f"GET {GUEST}/interfaces": _reading(interfaces),
    f"GET {GUEST}/pending": _reading(show_pending),
    f"PUT {GUEST}/resize": on_guest(resize, "VM.Config.Disk"),
    f"GET {GUEST}/rrddata": _reading(history),
    f"POST {GUEST}/template": on_guest(
        lambda call: change.make_template(call.machine, call.actor, call.vmid), "VM.Allocate"
    ),
    f"GET {GUEST}/status": _index("current", "start", "stop", "shutdown", "reboot"),
    f"POST {GUEST}/status/resume": _power(lambda call: power.resume(call.machine, call.actor, call.vmid)),
    f"POST {GUEST}/status/suspend": _power(lambda call: power.suspend(call.machine, call.actor, call.vmid)),
    f"GET {GUEST}/status/current": _reading(current),
    f"POST {GUEST}/status/start": _power(lambda call: ha.start(call.machine, call.actor, call.vmid)),
    f"POST {GUEST}/status/stop": _power(
        lambda call: ha.stop(call.machine, call.actor, call.vmid, overrules=call.flag("overrule-shutdown"))
    ),
    f"POST {GUEST}/status/shutdown": _power(
        lambda call: ha.shutdown(
            call.machine, call.actor, call.vmid, seconds=call.number("timeout"), forces=call.flag("forceStop")
        )
    ),
    f"POST {GUEST}/status/reboot": _power(
        lambda call: power.reboot(call.machine, call.actor, call.vmid, seconds=call.number("timeout"))
    ),
}
