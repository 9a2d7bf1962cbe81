"""`/nodes/{node}/lxc`: containers, their configuration and their power."""

import re
from typing import Any

from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.guests import addresses
from slipway.lab.host import change, create, ha, pending, power, restore, snapshots
from slipway.lab.host.configs import shown
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

Row = dict[str, Any]
_ADDRESSING = ("node", "vmid", "delete", "digest", "revert")
_CONFIG_RIGHTS = tuple(f"VM.Config.{what}" for what in ("Disk", "CPU", "Memory", "Network", "Options"))
_FAMILIES = {"inet": "inet", "inet6": "inet6"}


async def containers(call: Call) -> list[Row]:
    """List the containers that the caller may see; others are left out, not refused."""
    rows = await call.observer.containers()
    return [row for row in rows if call.actor.may(f"/vms/{row['vmid']}", "VM.Audit")]


async def create_container(call: Call) -> str:
    """Create a container, or restore one."""
    if call.flag("restore"):
        return await restore.restore(call.machine, call.actor, call.given)
    return await create.create(call.machine, call.actor, call.given)


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
    name, configs = call.given.get("snapshot"), call.machine.configs
    if name and call.flag("current"):
        words = "cannot use 'snapshot' parameter with 'current'"
        raise bad_parameters({"snapshot": words, "current": words})
    if name:
        found = snapshots.config_of(call.machine, call.vmid, name)
    elif call.flag("current"):
        found = configs.get(call.vmid)
    else:
        found = pending.merged(configs.get(call.vmid), configs.pending(call.vmid))
    return shown(found, configs.digest(call.vmid))


def show_pending(call: Call) -> list[pending.Row]:
    """List what is and what waits for the next start."""
    configs = call.machine.configs
    return pending.rows(configs.get(call.vmid), configs.pending(call.vmid), configs.digest(call.vmid))


async def change_config(call: Call) -> None:
    """Set and remove options, and forget what waits."""
    given = {key: value for key, value in call.given.items() if key not in _ADDRESSING}
    if not given and not {"delete", "revert"} & set(call.given):
        raise Refused("no options specified")
    wanted = change.Change(
        given=given,
        removed=_keys(call, "delete"),
        reverted=_keys(call, "revert"),
        digest=call.given.get("digest"),
    )
    await change.change(call.machine, call.actor, call.vmid, wanted)


def _keys(call: Call, name: str) -> list[str]:
    return [key for key in re.split(r"[,;\s]+", call.given.get(name, "")) if key]


def resize(call: Call) -> str:
    """Grow a disk."""
    machine, vmid, actor = call.machine, call.vmid, call.actor
    disk, size = call.given["disk"], call.given["size"]
    change.check_resize(machine, actor, vmid, disk, size, digest=call.given.get("digest"))

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
    found = await addresses.interfaces(call.machine.guests, call.vmid)
    return [_interface(one.name, one.hwaddr, {"inet": one.inet, "inet6": one.inet6}) for one in found]


def _interface(name: str, hwaddr: str, addresses: dict[str, str | None]) -> Row:
    held = {family: address for family, address in addresses.items() if address}
    listed = []
    for family, address in held.items():
        host, _, prefix = address.partition("/")
        listed.append({"ip-address": host, "prefix": prefix, "ip-address-type": family})
    address_of = hwaddr.lower()
    row: Row = {"name": name, "hwaddr": address_of, "hardware-address": address_of, "ip-addresses": listed}
    return row | held


def history(call: Call) -> list[Row]:
    """Show averages over time."""
    call.machine.configs.get(call.vmid)
    return call.observer.history(call.vmid, call.given["timeframe"])


def _index(*names: str) -> Route:
    def handler(call: Call) -> list[Row]:
        call.machine.configs.get(call.vmid)
        return [{"subdir": name} for name in names]

    return Route(handler=handler)


def _power(handler: Any) -> Route:
    return Route(handler=handler, path="/vms/{vmid}", rights=("VM.PowerMgmt",))


def _reading(handler: Any) -> Route:
    return Route(handler=handler, path="/vms/{vmid}", rights=("VM.Audit",))


CHILDREN = ("config", "pending", "status", "rrddata", "feature", "interfaces", "resize")
CONTAINER = "/nodes/{node}/lxc/{vmid}"
ROUTES: Routes = {
    "GET /nodes/{node}/lxc": Route(handler=containers),
    "POST /nodes/{node}/lxc": Route(handler=create_container),
    f"GET {CONTAINER}": _index(*CHILDREN),
    f"DELETE {CONTAINER}": Route(handler=delete_container, path="/vms/{vmid}", rights=("VM.Allocate",)),
    f"GET {CONTAINER}/config": _reading(config),
    f"PUT {CONTAINER}/config": Route(
        handler=change_config, path="/vms/{vmid}", rights=_CONFIG_RIGHTS, any_right=True
    ),
    f"GET {CONTAINER}/interfaces": _reading(interfaces),
    f"GET {CONTAINER}/pending": _reading(show_pending),
    f"PUT {CONTAINER}/resize": Route(handler=resize, path="/vms/{vmid}", rights=("VM.Config.Disk",)),
    f"GET {CONTAINER}/rrddata": _reading(history),
    f"POST {CONTAINER}/template": Route(
        handler=lambda call: change.make_template(call.machine, call.actor, call.vmid),
        path="/vms/{vmid}",
        rights=("VM.Allocate",),
    ),
    f"GET {CONTAINER}/status": _index("current", "start", "stop", "shutdown", "reboot"),
    f"POST {CONTAINER}/status/resume": _power(lambda call: power.resume(call.machine, call.actor, call.vmid)),
    f"POST {CONTAINER}/status/suspend": _power(
        lambda call: power.suspend(call.machine, call.actor, call.vmid)
    ),
    f"GET {CONTAINER}/status/current": _reading(current),
    f"POST {CONTAINER}/status/start": _power(lambda call: ha.start(call.machine, call.actor, call.vmid)),
    f"POST {CONTAINER}/status/stop": _power(
        lambda call: ha.stop(call.machine, call.actor, call.vmid, overrules=call.flag("overrule-shutdown"))
    ),
    f"POST {CONTAINER}/status/shutdown": _power(
        lambda call: ha.shutdown(
            call.machine, call.actor, call.vmid, seconds=call.number("timeout"), forces=call.flag("forceStop")
        )
    ),
    f"POST {CONTAINER}/status/reboot": _power(
        lambda call: power.reboot(call.machine, call.actor, call.vmid, seconds=call.number("timeout"))
    ),
}
