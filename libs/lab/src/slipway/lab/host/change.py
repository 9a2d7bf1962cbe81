"""Changing and removing a container: config, resize, unlock, destroy.

Both sides use it: the API, which checks rights first, and `pct`, which is root.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from slipway.lab.host import create, options
from slipway.lab.host.configs import Config, check_digest, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

READ_ONLY = ("unprivileged", "arch")
UNREMOVABLE = ("rootfs", "digest")


async def change(
    machine: Machine,
    vmid: int,
    given: Mapping[str, str],
    *,
    removed: Iterable[str] = (),
    digest: str | None = None,
) -> None:
    """Set and remove options, all or none. Waits for the container's flock: a creation blocks it."""
    removed = list(removed)
    machine.configs.get(vmid)
    for key in removed:
        if not options.is_option(key):
            raise bad_parameters({"delete": f"unknown option '{key}'"})
    for key in given:
        if key in READ_ONLY:
            raise Refused(f"unable to modify read-only option: '{key}'")
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        check_lock(config)
        check_digest(config, digest)
        changed = {key: value for key, value in config.items() if key not in removed or key in UNREMOVABLE}
        for key, value in given.items():
            changed[key] = _stored(machine, vmid, config, key, value)
        await _apply(machine, vmid, changed)


async def resize(machine: Machine, vmid: int, disk: str, size: str) -> None:
    """Grow a disk; `+1G` is relative."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        check_lock(config)
        volume = options.volumes(config)[disk]
        present = options.to_kib(volume["size"])
        wanted = options.to_kib(size.removeprefix("+")) + (present if size.startswith("+") else 0)
        machine.storages.resize(volume["volume"], wanted)
        volume["size"] = options.from_kib(wanted)
        config[disk] = options.stored_volume(disk, volume)
        await _apply(machine, vmid, config)


def check_resize(machine: Machine, vmid: int, disk: str, size: str) -> None:
    """Refuse what a resize finds out before its task."""
    volume = options.volumes(machine.configs.get(vmid)).get(disk)
    if volume is None:
        missing = "property is missing and it is not optional"
        raise Refused("format error", errors={"volume": missing, "mp": missing})
    if not size.startswith("+") and options.to_kib(size) < options.to_kib(volume["size"]):
        raise Refused("unable to shrink disk size")


async def unlock(machine: Machine, vmid: int) -> None:
    """Take away the lock in the config, whoever holds it: the cure for zombies."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        config.pop("lock", None)
        machine.configs.put(vmid, config)


def check_destroyable(machine: Machine, vmid: int, *, forces: bool) -> None:
    """Refuse what must not be destroyed now."""
    config = machine.configs.get(vmid)
    check_lock(config)
    if config.get("protection") == "1":
        raise Refused(f"can't remove CT {vmid} - protection mode enabled")
    if machine.is_running(vmid) and not forces:
        raise Refused(f"unable to destroy CT {vmid} - container is running")


def destroying(machine: Machine, vmid: int, *, forces: bool) -> Callable[[Work], Awaitable[None]]:
    """Make the body of a destruction."""

    async def body(work: Work) -> None:
        async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
            check_destroyable(machine, vmid, forces=forces)
            await machine.faults.at_task("middle", work)
            if machine.is_running(vmid):
                await machine.guests.stop(vmid)
            for volume in machine.storages.volumes_of(vmid):
                if "/" not in volume.volid:
                    work.log(f'  Logical volume "{volume.volid.partition(":")[2]}" successfully removed.')
            work.log(f"purging CT {vmid} from related configurations..")
            await create.clean(machine, vmid)

    return body


def _stored(machine: Machine, vmid: int, config: Config, key: str, value: str) -> str:
    if not options.is_mount_point(key):
        return options.stored(key, value)
    parts = options.volumes({key: value})[key]
    storage, found, size = parts["volume"].partition(":")
    if key in config or not found or not size.replace(".", "", 1).isdigit():
        return options.stored_volume(key, parts)
    machine.storages.for_containers(storage)
    kib = int(float(size) * options.KIB_PER["G"])
    volume = machine.storages.allocate(storage, vmid, kib)
    return options.stored_volume(key, parts | {"volume": volume.volid, "size": options.from_kib(kib)})


async def _apply(machine: Machine, vmid: int, config: Config) -> None:
    machine.configs.put(vmid, config)
    if machine.has_guest(vmid):
        await machine.guests.update(machine.spec(vmid, config))
