"""Changing and removing a container: config, resize, unlock, destroy.

Both sides use it: the API, whose actor may lack rights, and `pct`, which is root. What a running container
can't take waits for its next start (`pending`, `applying`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.access.actors import Actor
from slipway.lab.host import applying, create, disks, networking, options, rights, snapshots
from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Body, Work
from slipway.lab.problems import Refused, bad_parameters

REQUIRED = ("memory", "rootfs", "ostype")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is asked for: new values, removals, and pending changes to forget."""

    values: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    reverted: Sequence[str] = ()
    digest: str | None = None


async def change(machine: Machine, actor: Actor, vmid: int, request: Change) -> None:
    """Change a config, wholly or not at all. Waits for the container's flock: a creation blocks it."""
    machine.configs.get(vmid)
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        check_lock(config)
        machine.configs.check_digest(vmid, request.digest)
        _check(actor, vmid, config, request)
        draft = applying.draft(machine, vmid)
        for key in request.reverted:
            draft.pending.pop(key, None)
        modified = {*_remove(draft, request.removed), *request.values}
        for key, value in sorted(request.values.items()):
            _check_value(machine, vmid, config, key, value)
            draft.pending[key] = options.stored(key, value)
        draft.clean()
        draft.apply(modified, is_running=machine.is_running(vmid))
        if draft.errors:
            raise bad_parameters(draft.errors)
        draft.store()
        if machine.has_guest(vmid):
            await machine.guests.update(machine.spec(vmid, draft.config))
        if machine.is_running(vmid):
            await networking.changed(machine, vmid, config, draft.config)


async def resize(machine: Machine, actor: Actor, vmid: int, disk: str, size: str) -> None:
    """Grow a disk, of what is and not of what waits; `+1G` is relative."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        new_kib = check_resize(machine, actor, vmid, disk, size)
        config = machine.configs.get(vmid)
        volume = options.volumes(config)[disk]
        machine.storages.resize(volume["volume"], new_kib)
        volume["size"] = options.from_kib(new_kib)
        config[disk] = options.stored_volume(disk, volume)
        machine.configs.put(vmid, config)
        if machine.has_guest(vmid):
            await machine.guests.update(machine.spec(vmid, config))


def check_resize(
    machine: Machine, actor: Actor, vmid: int, disk: str, size: str, *, digest: str | None = None
) -> int:
    """Refuse what can't be grown so, before its task and again in it; give the new size in KiB."""
    config = machine.configs.get(vmid)
    check_lock(config)
    actor.require(f"/vms/{vmid}", "VM.Config.Options")
    machine.configs.check_digest(vmid, digest)
    part = options.volumes(config).get(disk)
    if part is None:
        missing = "property is missing and it is not optional"
        raise Refused("format error", errors={"volume": missing, "mp": missing})
    volume = machine.storages.volume(part["volume"])
    actor.require(f"/storage/{part['volume'].partition(':')[0]}", "Datastore.AllocateSpace")
    new_kib = options.to_kib(size.removeprefix("+")) + (volume.size_kib if size.startswith("+") else 0)
    if new_kib < volume.size_kib:
        raise Refused("unable to shrink disk size")
    if new_kib == volume.size_kib:
        raise Refused("disk is already at specified size")
    return new_kib


async def unlock(machine: Machine, vmid: int) -> None:
    """Take away the lock in the config, whoever holds it: the cure for zombies."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        config.pop("lock", None)
        machine.configs.put(vmid, config)


async def make_template(machine: Machine, actor: Actor, vmid: int) -> None:
    """Make a template of a container, in a task whose name is not answered."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        check_lock(config)
        if snapshots.stored(machine, vmid):
            raise Refused("unable to create template, because CT contains snapshots")
        if config.get("template") == "1":
            raise Refused("you can't convert a template to a template")
        if machine.is_running(vmid):
            raise Refused("you can't convert a CT to template if the CT is running")

        async def body(_work: Work) -> None:
            machine.configs.put(vmid, config | disks.to_bases(machine, config) | {"template": "1"})

        machine.tasks.start("vztemplate", str(vmid), actor.name, body)


def check_destroyable(machine: Machine, vmid: int, *, forces: bool) -> None:
    """Refuse what must not be destroyed now."""
    config = machine.configs.get(vmid)
    if config.get("protection") == "1":
        raise Refused(f"can't remove CT {vmid} - protection mode enabled")
    check_lock(config)
    if machine.is_running(vmid) and not forces:
        raise Refused(f"unable to destroy CT {vmid} - container is running")


def destroying(
    machine: Machine, vmid: int, *, forces: bool, purges: bool = False, all_disks: bool = False
) -> Body:
    """Make the body of a destruction; disks that no config has are only removed if asked for."""

    async def body(work: Work) -> None:
        async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
            check_destroyable(machine, vmid, forces=forces)
            await machine.faults.at_task("middle", work)
            if machine.is_running(vmid):
                work.log(f"forced to stop CT {vmid} before destroying!")
                await machine.guests.stop(vmid)
            gone = disks.referenced(machine, vmid)
            if all_disks:
                gone |= {volume.volid for volume in machine.storages.volumes_of(vmid)}
            for volid in sorted(gone):
                machine.storages.remove(volid)
                if "/" not in volid:
                    work.log(f'  Logical volume "{volid.partition(":")[2]}" successfully removed.')
            if purges:
                work.log(f"purging CT {vmid} from related configurations..")
            await create.clean(machine, vmid, keeps_disks=True)

    return body


def _check(actor: Actor, vmid: int, config: Config, request: Change) -> None:
    """Refuse what the actor may not, and what contradicts itself."""
    is_unprivileged = config.get("unprivileged") == "1"
    touched = (*request.removed, *request.reverted)
    rights.check_options(actor, vmid, {}, old=config, removed=touched, is_unprivileged=is_unprivileged)
    for name, keys in (("revert", request.reverted), ("delete", request.removed)):
        for key in keys:
            if not options.is_option(key):
                raise bad_parameters({name: f"unknown option '{key}'"})
            if key in request.values:
                word = f"'-revert {key}'" if name == "revert" else f"-delete {key}'"
                raise bad_parameters({name: f"you can't use '-{key}' and {word} at the same time"})
            if name == "delete" and key in request.reverted:
                words = f"you can't use '-delete {key}' and '-revert {key}' at the same time"
                raise bad_parameters({name: words})
    rights.check_options(actor, vmid, request.values, old=config, is_unprivileged=is_unprivileged)


def _remove(draft: applying.Draft, keys: Iterable[str]) -> set[str]:
    """Mark options as to be removed; those that are not there are passed over."""
    marked = {key for key in keys if key in draft.config or draft.pending.get(key) is not None}
    for key in sorted(marked):
        if key in REQUIRED:
            raise Refused(f"unable to delete required option '{key}'")
        if key == "unprivileged":
            raise Refused(f"unable to delete read-only option: '{key}'")
        if re.fullmatch(r"(mp|unused)\d+", key) and draft.config.get("protection") == "1":
            raise Refused(f"can't remove CT {draft.vmid} drive '{key}' - protection mode enabled")
        if key in draft.config:
            draft.pending[key] = None
    return marked


def _check_value(machine: Machine, vmid: int, config: Config, key: str, value: str) -> None:
    """Refuse a value at once, whether the container runs or not."""
    if key == "unprivileged":
        raise Refused(f"unable to modify read-only option: '{key}'")
    if key == "rootfs" or options.is_mount_point(key):
        if config.get("protection") == "1":
            raise Refused(f"can't update CT {vmid} drive '{key}' - protection mode enabled")
        if rights.mount_kind(value) == "volume":
            _check_content(machine, options.volumes({key: value})[key]["volume"])
    if re.fullmatch(r"dev\d+", key):
        path = options.device_path(value)
        if path is None:
            raise Refused(f"Path is not defined for passthrough device {key}")
        _check_device(path)


def _check_content(machine: Machine, volid: str) -> None:
    name, separator, _ = volid.partition(":")
    if not separator:
        raise Refused(f"unable to parse volume ID '{volid}'")
    if "rootdir" not in machine.storages.get(name).content:
        raise Refused(f"storage '{name}' does not allow content type 'rootdir' (Container)")


def _check_device(path: str) -> None:
    if not Path(path).exists():
        raise Refused(f"Device {path} does not exist")
    if not (Path(path).is_block_device() or Path(path).is_char_device()):
        raise Refused(f"{path} is not a device")
