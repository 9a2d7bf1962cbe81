"""Making a container from a backup.

Theory of operation (PVE::API2::LXC with `restore`). Checked before the task: rights on storage and backup,
the VMID, which must be free unless `force` and the container there is stopped. The task reads the config out
of the backup, allocates disks of the sizes it names, unpacks, and lets the given options win. Hardware
addresses and notes come back as they were; `unique` makes new addresses.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.lab.access.actors import Actor
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import create, dumps, options, rights, snapshots, templates
from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.dumps import Dump
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Interrupted, Work
from slipway.lab.problems import Refused, not_permitted


async def restore(machine: Machine, actor: Actor, given: Mapping[str, str]) -> str:
    """Check what can be checked, lock the VMID and start the task; give its name."""
    vmid = int(given["vmid"])
    replaces = given.get("force") == "1" and vmid in machine.configs
    _check(machine, actor, vmid, given, replaces=replaces)
    await asyncio.sleep(machine.timings.create_check)
    async with machine.configs.flock(vmid, machine.timings.create_lock_wait):
        before = machine.configs.get(vmid) if replaces else None
        if before is None:
            create.check_unused(machine, vmid)
        machine.configs.put(vmid, (before or {}) | {"lock": "create"})
    restoring = _Restoring(machine=machine, vmid=vmid, given=given, before=before)
    return machine.tasks.start("vzrestore", str(vmid), actor.name, restoring.work)


def _check(machine: Machine, actor: Actor, vmid: int, given: Mapping[str, str], *, replaces: bool) -> None:
    volid = given["ostemplate"]
    if replaces:
        _check_replaced(machine, vmid)
    else:
        create.let_someone_else_take(machine, vmid)
        create.check_unused(machine, vmid)
    may = actor.may(f"/vms/{vmid}", "VM.Allocate") or (replaces and actor.may(f"/vms/{vmid}", "VM.Backup"))
    if not may:
        raise not_permitted()
    kept = {key: value for key, value in given.items() if key not in create.NOT_KEPT or key == "rootfs"}
    rights.check_options(actor, vmid, kept, is_unprivileged=given.get("unprivileged", "1") == "1")
    if given.get("unprivileged") == "0":
        actor.require("/", "Sys.Modify")
    _check_volume(machine, actor, vmid, volid)
    target = machine.storages.for_containers(given.get("storage", "local"))
    actor.require(f"/storage/{target.name}", "Datastore.AllocateSpace")


def _check_volume(machine: Machine, actor: Actor, vmid: int, volid: str) -> None:
    storage, found, name = volid.partition(":")
    if not found:
        raise Refused(f"unable to parse volume ID '{volid}'")
    machine.storages.get(storage)
    owner = dumps.owner(volid)
    if not name.startswith("backup/") or owner is None:
        raise Refused(f"unable to use volume {volid} - content type needs to be 'backup'")
    if owner != vmid:
        actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")
        actor.require(f"/vms/{owner}", "VM.Backup")


def _check_replaced(machine: Machine, vmid: int) -> None:
    if machine.is_running(vmid):
        raise Refused("can't overwrite running container")
    config = machine.configs.get(vmid)
    if config.get("protection") == "1":
        raise Refused(f"unable to restore CT {vmid} - protection mode enabled")
    check_lock(config)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Restoring:
    """What the task does."""

    machine: Machine
    vmid: int
    given: Mapping[str, str]
    before: Config | None
    """The config of the container that is replaced."""

    async def work(self, work: Work) -> None:
        machine, vmid = self.machine, self.vmid
        prefix = f"unable to restore CT {vmid} - "
        async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
            try:
                config = await self._build(self._dump(), work)
            except (Refused, GuestError) as error:
                await self._undo()
                raise Refused(f"{prefix}{error}") from error
            except asyncio.CancelledError:
                if work.is_killed:
                    raise
                await self._undo()
                raise Interrupted(f"{prefix}{create.UNPACK.format(vmid=vmid)}") from None
            machine.configs.put(vmid, config, {})

    def _dump(self) -> Dump:
        volid = self.given["ostemplate"]
        dump = dumps.find(self.machine, volid)
        if dump is None:
            raise Refused(f"volume '{volid}' does not exist")
        return dump

    async def _build(self, dump: Dump, work: Work) -> Config:
        machine, facts = self.machine, dump.facts()
        work.log(f"recovering backed-up configuration from '{dump.volid}'")
        config = self._config(facts["config"])
        template = Path(facts["template"])
        await machine.faults.at_task("middle", work)
        target = self.given.get("storage", "local")
        if machine.faults.is_full(target, "unpack"):
            raise Refused(f"{create.UNPACK.format(vmid=self.vmid)} failed: exit code 2")
        machine.storages.free(self.vmid)
        snapshots.forget(machine, self.vmid)
        for key, part in options.volumes(config).items():
            if "size" not in part:
                raise Refused(f"unable to detect disk size - please specify {key} (size)")
            volume = machine.storages.allocate(target, self.vmid, options.to_kib(part["size"]))
            for line in templates.disk_lines(machine.storages.get(target), volume):
                work.log(line)
            config[key] = options.stored_volume(key, part | {"volume": volume.volid})
        work.log(f"restoring '{dump.volid}' now..")
        path = machine.storages.get(dump.storage).path
        work.log(f"extracting archive '{path}/dump/{dump.name}'")
        await machine.guests.load(options.spec(self.vmid, config, template), dump.archive)
        machine.remember_origin(self.vmid, template)
        work.log(f"Total bytes read: {dump.archive.stat().st_size}")
        work.log("merging backed-up and given configuration..")
        return config

    def _config(self, kept: Mapping[str, str]) -> Config:
        config = dict(kept)
        given = {key: value for key, value in self.given.items() if key not in create.NOT_KEPT}
        wanted = given.pop("unprivileged", kept.get("unprivileged", "0"))
        if wanted != kept.get("unprivileged", "0"):
            raise Refused("the lab restores a container only as privileged as it was")
        config |= {key: options.stored(key, value) for key, value in given.items()}
        if self.given.get("unique") == "1":
            for key, device in options.networks(config).items():
                rest = {name: value for name, value in device.items() if name != "hwaddr"}
                config[key] = options.stored_network(",".join(f"{n}={v}" for n, v in rest.items()))
        return config

    async def _undo(self) -> None:
        """Leave what there was before; disks that were replaced already are gone."""
        if self.before is None:
            await create.clean(self.machine, self.vmid)
        else:
            self.machine.configs.put(self.vmid, self.before)
