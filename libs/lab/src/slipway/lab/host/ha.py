"""Guests that the cluster's HA manager looks after (`HaManaged` orders say which).

Theory of operation (PVE::API2::LXC::Status, `vm_is_ha_managed`). A start, stop, shutdown or move of such a
guest is only asked for: the answer is a task `hastart`, `hastop` or `hamigrate` that ends well once the wish
is written down. The manager acts on it later, as root, in a task of its own. A removal needs `purge`, which
ends the managing.
"""

import asyncio
from collections.abc import Mapping

from slipway.lab.access.actors import ROOT_NAME, Actor
from slipway.lab.host import migrate, power
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Body, Work
from slipway.lab.problems import Refused


def start(machine: Machine, actor: Actor, vmid: int) -> str:
    """Ask for a start; a guest that nobody manages is started."""
    if not machine.faults.ha_managed(vmid):
        return power.start(machine, actor, vmid)
    if machine.is_running(vmid):
        raise Refused(f"CT {vmid} already running")
    return _ask(machine, actor, vmid, "start", power.starting(machine, vmid))


def stop(machine: Machine, actor: Actor, vmid: int, *, overrules: bool) -> str:
    """Ask for a stop; a guest that nobody manages is stopped."""
    if not machine.faults.ha_managed(vmid):
        return power.stop(machine, actor, vmid, overrules=overrules)
    power.check_running(machine, vmid)
    return _ask(machine, actor, vmid, "stop", power.stopping(machine, vmid))


def shutdown(machine: Machine, actor: Actor, vmid: int, *, seconds: int | None, forces: bool) -> str:
    """Ask for a shutdown; what does not listen is stopped by the manager."""
    if not machine.faults.ha_managed(vmid):
        return power.shutdown(machine, actor, vmid, seconds=seconds, forces=forces)
    power.check_running(machine, vmid)
    timeout = power.SHUTDOWN_SECONDS if seconds is None else seconds
    return _ask(machine, actor, vmid, "stop", power.shutting_down(machine, vmid, timeout, forces=True))


def move(machine: Machine, actor: Actor, vmid: int, params: Mapping[str, str]) -> str:
    """Ask for a move; a guest that nobody manages is moved. The manager always restarts what runs."""
    migrate.check(machine, actor, vmid, params)
    if not machine.faults.ha_managed(vmid):
        body = migrate.moving(machine, vmid, params)
        return machine.tasks.start("vzmigrate", str(vmid), actor.name, body)
    target = {"target": params["target"], "restart": "1"}
    line = f"Requesting HA migration for CT {vmid} to node {params['target']}"
    return _ask(machine, actor, vmid, "migrate", migrate.moving(machine, vmid, target), line=line)


def check_removable(machine: Machine, vmid: int, *, purges: bool) -> None:
    """Refuse a removal that would leave the manager without its guest."""
    if machine.faults.ha_managed(vmid) and not purges:
        raise Refused(f"unable to remove CT {vmid} - used in HA resources and purge parameter not set.")


def shown(machine: Machine, vmid: int) -> dict[str, int | str]:
    """Show what a guest's status says of its managing."""
    order = machine.faults.ha_managed(vmid)
    if order is None:
        return {"managed": 0}
    state = "started" if machine.is_running(vmid) else "stopped"
    return {"managed": 1, "state": order.state or state}


def _ask(machine: Machine, actor: Actor, vmid: int, verb: str, act: Body, *, line: str = "") -> str:
    async def later(work: Work) -> None:
        await asyncio.sleep(machine.timings.ha_rest)
        await act(work)

    async def body(work: Work) -> None:
        work.log(line or f"Requesting HA {verb} for CT {vmid}")
        machine.tasks.start(f"vz{verb}", str(vmid), ROOT_NAME, later)

    return machine.tasks.start(f"ha{verb}", str(vmid), actor.name, body)
