"""Copying a container.

Theory of operation (PVE::API2::LXC, recorded). Rights, storages and states are checked before the task: the
source is locked (`disk`); the new config is there at once, notes included, locked (`create`) and without
disks. The task copies these. A running container is copied only from one of its snapshots. The copy has the
source's options, notes among them (those of the snapshot, if from one), but new hardware addresses, no
snapshots, and another name or other notes if they are given.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from slipway.lab.access.actors import Actor
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import create, locks, migrate, options, snapshots, templates
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, not_permitted

NOT_COPIED = frozenset({"lock", "parent", "template"})


async def clone(machine: Machine, actor: Actor, vmid: int, params: Mapping[str, str]) -> str:
    """Check, lock both, and start the task; give its name."""
    newid = int(params["newid"])
    pool = params.get("pool")
    if pool is not None and pool not in machine.pools:
        raise not_permitted(f"pool '{pool}' does not exist")
    actor.in_pool(pool).require(f"/vms/{newid}", "VM.Allocate")
    if params.get("target", machine.node) != machine.node:
        _check_target(machine, vmid, params)
    present = machine.configs.get(vmid)
    await locks.take(machine, vmid, "disk")
    try:
        create.let_someone_else_take(machine, newid)
        create.check_unused(machine, newid)
        name = params.get("snapname")
        source = present if name is None else snapshots.config_of(machine, vmid, name)
        _check(machine, actor, vmid, source, params)
        copied = _config(source, params)
        async with machine.configs.flock(newid, machine.timings.create_lock_wait):
            create.check_unused(machine, newid)
            without_disks = {
                key: value for key, value in copied.items() if key not in options.volumes(copied)
            }
            machine.configs.put(newid, without_disks | {"lock": "create"})
        if pool is not None:
            machine.pools.add_guest(pool, newid)
    except BaseException:
        await locks.release(machine, vmid, "disk")
        raise

    clone = _Clone(machine=machine, vmid=vmid, newid=newid, config=copied, params=params)

    async def body(work: Work) -> None:
        try:
            await clone.work(work)
        finally:
            if not work.is_killed:
                await locks.release(machine, vmid, "disk")

    return machine.tasks.start("vzclone", str(vmid), actor.name, body)


def _check_target(machine: Machine, vmid: int, params: Mapping[str, str]) -> None:
    """Refuse a node that does not exist, or that would not see the disks."""
    target = params["target"]
    if target not in machine.members:
        raise Refused(f"no such cluster node '{target}'")
    for part in options.volumes(machine.configs.get(vmid)).values():
        storage = machine.storages.get(part["volume"].partition(":")[0])
        if not storage.is_shared:
            raise Refused(f"can't clone CT to node '{target}' (CT uses local storage)")
        machine.members[target].storages.get(storage.name)
        if not machine.storages.get(params.get("storage", storage.name)).is_shared:
            raise Refused(f"can't clone to non-shared storage '{params['storage']}'")


def _check(machine: Machine, actor: Actor, vmid: int, source: Config, params: Mapping[str, str]) -> None:
    is_full = _is_full(machine.configs.get(vmid), params)
    if params.get("storage") and not is_full:
        raise Refused("parameter 'storage' not allowed for linked clones")
    for key, part in options.volumes(source).items():
        name = part["volume"].partition(":")[0]
        if not name or part["volume"].startswith("/"):
            raise Refused(f"unable to clone mountpoint '{key}' (type bind)")
        machine.storages.check_name(part["volume"])
        storage = machine.storages.get(params.get("storage", name))
        if not storage.is_enabled:
            raise Refused(f"storage '{storage.name}' is disabled")
        actor.require(f"/storage/{storage.name}", "Datastore.AllocateSpace")
        if is_full and machine.is_running(vmid) and "snapname" not in params:
            raise Refused("Full clone of a running container is only possible from a snapshot")
        is_base = part["volume"].rpartition("/")[2].partition(":")[2].startswith("base-")
        if not is_full and not (storage.has_snapshots and ("snapname" in params or is_base)):
            raise Refused(f"Linked clone feature for '{part['volume']}' is not available")
    for device in options.networks(source).values():
        if bridge := device.get("bridge"):
            actor.require(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")


def _is_full(config: Config, params: Mapping[str, str]) -> bool:
    """Return whether all is copied: the default is no for a template, and yes for others."""
    return params.get("full", "0" if config.get("template") == "1" else "1") == "1"


def _config(source: Config, params: Mapping[str, str]) -> Config:
    copied = {key: value for key, value in source.items() if key not in NOT_COPIED}
    for key, device in options.networks(source).items():
        device["hwaddr"] = options.random_hwaddr()
        copied[key] = options.stored_network(",".join(f"{name}={value}" for name, value in device.items()))
    for key in ("hostname", "description"):
        if params.get(key):
            copied[key] = options.stored(key, params[key])
    return {key: value for key, value in copied.items() if not key.startswith("unused")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clone:
    """What the task does; on failure nothing of the copy stays."""

    machine: Machine
    vmid: int
    newid: int
    config: Config
    params: Mapping[str, str]

    async def work(self, work: Work) -> None:
        machine, newid = self.machine, self.newid
        async with machine.configs.flock(newid, machine.timings.config_lock_wait):
            work.log(f"creating a clone of container {self.vmid} with ID {newid}")
            try:
                for key, part in options.volumes(self.config).items():
                    self.config[key] = self._volume(key, part, work)
                await machine.faults.at_task("middle", work)
                await self._disk()
            except (Refused, GuestError) as error:
                await create.clean(machine, newid)
                raise Refused(f"clone failed: {error}") from error
            except asyncio.CancelledError:
                if work.is_killed:
                    raise
                await create.clean(machine, newid)
                raise Refused("clone failed: interrupted by signal") from None
            machine.configs.put(newid, self.config)
        target = machine.members[self.params.get("target", machine.node)]
        if target is not machine:
            migrate.hand_over(machine, target, newid, self.config)

    def _volume(self, key: str, part: dict[str, str], work: Work) -> str:
        machine = self.machine
        is_full = _is_full(machine.configs.get(self.vmid), self.params)
        kind = "full clone of mountpoint" if is_full else "linked clone of mount point"
        work.log(f"create {kind} {key} ({part['volume']})")
        name = self.params.get("storage", part["volume"].partition(":")[0])
        if machine.faults.is_full(name):
            raise Refused("rsync: [receiver] write failed: No space left on device (28)")
        if "rootdir" not in machine.storages.get(name).content:
            raise Refused(f"content type 'rootdir' is not available or configured on storage '{name}'")
        kib = machine.storages.volume(part["volume"]).size_kib
        volume = machine.storages.allocate(name, self.newid, kib)
        for line in templates.disk_lines(machine.storages.get(name), volume):
            work.log(line)
        return options.stored_volume(key, part | {"volume": volume.volid})

    async def _disk(self) -> None:
        machine = self.machine
        origin = machine.spec(self.vmid, self.config).template
        spec = options.spec(self.newid, self.config, origin)
        if name := self.params.get("snapname"):
            await machine.guests.load(spec, snapshots.disk_of(machine, self.vmid, name))
        else:
            archive = machine.folder / "snapshots" / f"clone-{self.newid}.tar"
            try:
                await machine.guests.save(self.vmid, archive)
                await machine.guests.load(spec, archive)
            finally:
                archive.unlink(missing_ok=True)
        machine.remember_origin(self.newid, origin)
