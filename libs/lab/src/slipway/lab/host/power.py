"""Start, stop, shutdown and reboot; suspend and resume, which fail as they do on a node without CRIU.

What is wrong is found at once where the real node looks before it starts a task (running already, not
running), inside the task otherwise (locks, a missing container or bridge). Every task holds the
container's flock, so a stop waits for a shutdown and gives up after ten seconds (PVE 9.2, recorded).
"""

import asyncio
from collections.abc import Awaitable, Callable

from slipway.lab.access.actors import Actor
from slipway.lab.faults import NeverStops
from slipway.lab.host import applying, disks, networking, options, templates
from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Body, Work
from slipway.lab.problems import Refused

SHUTDOWN_SECONDS = 60
CHECKPOINTS = "/var/lib/vz/dump"
Act = Callable[[Config, Work], Awaitable[None]]


def start(machine: Machine, actor: Actor, vmid: int) -> str:
    """Start a container."""
    if machine.is_running(vmid):
        raise Refused(f"CT {vmid} already running")
    return start_task(machine, actor, vmid)


def start_task(machine: Machine, actor: Actor, vmid: int) -> str:
    """Start a container, whatever its state: the task finds out."""
    return machine.tasks.start("vzstart", str(vmid), actor.name, starting(machine, vmid))


def stop(machine: Machine, actor: Actor, vmid: int, *, overrules: bool = False) -> str:
    """Kill a container; overruling ends a shutdown that is under way."""
    check_running(machine, vmid)
    if overrules:
        for name in machine.tasks.running("vzshutdown", str(vmid)):
            machine.tasks.kill(name)
    return machine.tasks.start("vzstop", str(vmid), actor.name, stopping(machine, vmid))


def shutdown(machine: Machine, actor: Actor, vmid: int, *, seconds: int | None, forces: bool) -> str:
    """Ask a container to end; kill it after the timeout if forced."""
    check_running(machine, vmid)
    timeout = SHUTDOWN_SECONDS if seconds is None else seconds
    body = shutting_down(machine, vmid, timeout, forces=forces)
    return machine.tasks.start("vzshutdown", str(vmid), actor.name, body)


def reboot(machine: Machine, actor: Actor, vmid: int, *, seconds: int | None) -> str:
    """Shut a container down and start it again."""
    if not machine.is_running(vmid):
        raise Refused(f"VM {vmid} not running")

    async def act(config: Config, work: Work) -> None:
        await end(machine, vmid, SHUTDOWN_SECONDS if seconds is None else seconds, forces=False)
        await begin(machine, vmid, config, work)

    return machine.tasks.start("vzreboot", str(vmid), actor.name, _holding(machine, vmid, act))


def suspend(machine: Machine, actor: Actor, vmid: int) -> str:
    """Write a container's memory down, which needs a CRIU that nodes don't have."""
    check_running(machine, vmid)

    async def act(_config: Config, _work: Work) -> None:
        raise Refused(f"command 'lxc-checkpoint -n {vmid} -s -D {CHECKPOINTS}' failed: exit code 1")

    return machine.tasks.start("vzsuspend", str(vmid), actor.name, _holding(machine, vmid, act))


def resume(machine: Machine, actor: Actor, vmid: int) -> str:
    """Resume from the memory that a suspend wrote down, which it never does."""
    if machine.is_running(vmid):
        raise Refused(f"CT {vmid} already running")

    async def body(_work: Work) -> None:
        words = f"lxc-checkpoint -n {vmid} -r --foreground -D {CHECKPOINTS}"
        raise Refused(f"command '{words}' failed: exit code 1")

    return machine.tasks.start("vzresume", str(vmid), actor.name, body)


def check_running(machine: Machine, vmid: int) -> None:
    """Refuse when a container does not run; also when there is none (PVE 9.2, recorded)."""
    if not machine.is_running(vmid):
        raise Refused(f"CT {vmid} not running")


def starting(machine: Machine, vmid: int) -> Body:
    """Make the body of a start."""

    async def act(config: Config, work: Work) -> None:
        if config.get("template") == "1":
            raise Refused("you can't start a CT if it's a template")
        if machine.is_running(vmid):
            raise Refused(f"CT {vmid} already running")
        await begin(machine, vmid, config, work)

    return _holding(machine, vmid, act)


def stopping(machine: Machine, vmid: int) -> Body:
    """Make the body of a stop."""
    return _holding(machine, vmid, lambda _config, _work: machine.guests.stop(vmid))


def shutting_down(machine: Machine, vmid: int, timeout: float, *, forces: bool) -> Body:
    """Make the body of a shutdown."""
    return _holding(machine, vmid, lambda _config, _work: end(machine, vmid, timeout, forces=forces))


def _holding(machine: Machine, vmid: int, act: Act) -> Body:
    async def body(work: Work) -> None:
        async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
            config = machine.configs.get(vmid)
            check_lock(config)
            await machine.faults.at_task("middle", work)
            await act(config, work)

    return body


async def begin(machine: Machine, vmid: int, config: Config, work: Work) -> None:
    """Start it, by a task that holds its flock; what waited for this is applied."""
    if vmid in machine.configs:
        config = applying.apply_at_start(machine, vmid)
    for device in options.networks(config).values():
        bridge = device.get("bridge")
        if bridge and bridge not in machine.guests.bridges():
            raise Refused(f"bridge '{bridge}' does not exist")
    disks.check_names(machine, config)
    if not machine.has_guest(vmid):
        raise Refused(f"startup for container '{vmid}' failed")
    _check_room(machine, vmid, config, work)
    spec = machine.spec(vmid, config)
    templates.warn_without_nesting(spec.template, config, work)
    await machine.guests.update(spec)
    await machine.guests.start(vmid)
    await networking.started(machine, vmid, config)


def _check_room(machine: Machine, vmid: int, config: Config, work: Work) -> None:
    """Fail as a start does whose disk can't be mounted, because the storage under it is full."""
    storage = options.volumes(config)["rootfs"]["volume"].partition(":")[0]
    if not machine.faults.is_full(storage, "start"):
        return
    work.log("run_buffer: 571 Script exited with status 32")
    work.log("mount: /var/lib/lxc/.pve-staged-mounts/rootfs: can't read superblock on /dev/loop0.")
    work.log("dmesg: EXT4-fs (loop0): error writing superblock: No space left on device")
    work.log(f'lxc_init: 845 Failed to run lxc.hook.pre-start for container "{vmid}"')
    work.log(f'__lxc_start: 2034 Failed to initialize container "{vmid}"')
    raise Refused(f"startup for container '{vmid}' failed")


async def end(machine: Machine, vmid: int, timeout: float, *, forces: bool) -> None:
    """Shut it down, by a task that holds its flock."""
    is_deaf = machine.faults.take(NeverStops, lambda fault: fault.is_about(vmid)) is not None
    if is_deaf:
        await asyncio.sleep(timeout)
    elif await machine.guests.shutdown(vmid, timeout_seconds=timeout):
        return
    if not forces:
        await asyncio.sleep(machine.timings.shutdown_rest)
        raise Refused("container did not stop")
    await machine.guests.stop(vmid)
