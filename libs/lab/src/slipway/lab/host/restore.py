"""Making a container from a backup.

Theory of operation (PVE::API2::LXC with `restore`; PVE 9.2, recorded). Checked before the task: rights on
storage and backup, the VMID, which must be free unless `force` and the container there is stopped. The task
reads the config out of the backup and makes disks of the sizes it names, or of those given. Up to there a
container that is to be replaced stays as it was. Then its disks, snapshots and config go away, and only then
the archive is unpacked: if that fails nothing is left, neither of the new container nor of the old one. Given
options win. Hardware addresses and notes come back as they were; `unique` makes new addresses.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.lab.access.actors import Actor
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import create, disks, dumps, options, rights, snapshots
from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.dumps import Dump
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Interrupted, Work
from slipway.lab.problems import Refused, not_permitted


async def restore(machine: Machine, actor: Actor, params: Mapping[str, str]) -> str:
    """Check what can be checked, lock the VMID and start the task; give its name."""
    vmid = int(params["vmid"])
    replaces = params.get("force") == "1" and vmid in machine.configs
    _check(machine, actor, vmid, params, replaces=replaces)
    await asyncio.sleep(machine.timings.create_check)
    async with machine.configs.flock(vmid, machine.timings.create_lock_wait):
        before = machine.configs.get(vmid) if replaces else None
        try:
            if before is None:
                create.check_unused(machine, vmid)
            else:
                check_lock(before)
        except Refused as refused:
            raise Refused(f"unable to restore CT {vmid} - {refused}") from refused
        machine.configs.put(vmid, (before or {}) | {"lock": "create"})
    restoring = _Restoring(machine=machine, actor=actor, vmid=vmid, params=params, before=before)
    return machine.tasks.start("vzrestore", str(vmid), actor.name, restoring.work)


def _check(machine: Machine, actor: Actor, vmid: int, params: Mapping[str, str], *, replaces: bool) -> None:
    if replaces:
        _check_replaced(machine, vmid)
    else:
        create.let_someone_else_take(machine, vmid)
        create.check_unused(machine, vmid)
    may = actor.may(f"/vms/{vmid}", "VM.Allocate") or (replaces and actor.may(f"/vms/{vmid}", "VM.Backup"))
    if not may:
        raise not_permitted()
    stored = {key: value for key, value in params.items() if key not in create.NOT_STORED or key == "rootfs"}
    rights.check_options(actor, vmid, stored, is_unprivileged=params.get("unprivileged") == "1")
    _check_volume(machine, actor, vmid, params["ostemplate"])
    create.check_storages(machine, actor, params)


def _check_volume(machine: Machine, actor: Actor, vmid: int, volid: str) -> None:
    storage, separator, name = volid.partition(":")
    if not separator:
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


@dataclass(slots=True, kw_only=True)
class _Restoring:
    """What the task does."""

    machine: Machine
    actor: Actor
    vmid: int
    params: Mapping[str, str]
    before: Config | None
    """The config of the container that is replaced."""
    is_begun: bool = False
    """Whether more than the lock has changed."""
    old: frozenset[str] = frozenset()
    """The disks that were there before; all others are the new container's."""

    async def work(self, work: Work) -> None:
        machine, vmid = self.machine, self.vmid
        prefix = f"unable to restore CT {vmid} - "
        async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
            try:
                config = await self._build(work)
            except (Refused, GuestError) as error:
                await self._undo()
                raise Refused(f"{prefix}{error}") from error
            except asyncio.CancelledError:
                if work.is_killed:
                    raise
                await self._undo()
                raise Interrupted(f"{prefix}{self._unpack_command()}") from None
            machine.configs.put(vmid, config, {})

    async def _build(self, work: Work) -> Config:
        machine = self.machine
        if machine.is_running(self.vmid):
            raise Refused("can't overwrite running container")
        dump = self._recovered(work)
        facts = dump.facts()
        config = self._config(facts["config"])
        wanted = self._disks(config)
        self.is_begun, self.old = True, self._volumes()
        for key, disk in wanted.items():
            config[key] = create.allocate(machine, self.vmid, key, disk, work)
        await self._remove_replaced()
        work.log(f"restoring '{dump.volid}' now..")
        path = machine.storages.get(dump.storage).path
        work.log(f"extracting archive '{path}/dump/{dump.name}'")
        await machine.faults.at_task("middle", work)
        await self._unpack(config, dump, Path(facts["template"]), work)
        work.log("merging backed-up and given configuration..")
        return config

    def _recovered(self, work: Work) -> Dump:
        """Find the backup and what it says of the container; up to here nothing has changed."""
        volid = self.params["ostemplate"]
        work.log(f"recovering backed-up configuration from '{volid}'")
        dump = dumps.find(self.machine, volid)
        if dump is None:
            raise Refused(f"volume '{volid}' does not exist")
        if not dumps.is_readable(dump):
            raise Refused("ERROR: archive contains no configuration file")
        return dump

    def _config(self, stored: Mapping[str, str]) -> Config:
        config = dict(stored)
        params = {key: value for key, value in self.params.items() if key not in create.NOT_STORED}
        unprivileged = params.pop("unprivileged", stored.get("unprivileged", "0"))
        if unprivileged != stored.get("unprivileged", "0"):
            raise Refused("the lab restores a container only as privileged as it was")
        was_unprivileged = self.before is None or self.before.get("unprivileged") == "1"
        if was_unprivileged and unprivileged != "1" and not self.actor.may("/", "Sys.Modify"):
            raise Refused("403 Permission check failed (/, Sys.Modify)")
        config |= {key: options.stored(key, value) for key, value in params.items()}
        if self.params.get("unique") == "1":
            for key, device in options.networks(config).items():
                rest = {name: value for name, value in device.items() if name != "hwaddr"}
                config[key] = options.stored_network(",".join(f"{n}={v}" for n, v in rest.items()))
        return config

    def _disks(self, config: Config) -> dict[str, dict[str, str]]:
        """Return which disks to make: those of the parameters, or else the backup's with their sizes."""
        default = self.params.get("storage", "local")
        if "rootfs" in self.params:
            for key in options.volumes(config):
                del config[key]
            return create.wanted_volumes(self.params)
        volumes = options.volumes(config)
        for key, part in volumes.items():
            if part["volume"].startswith("/"):
                continue
            if "size" not in part:
                raise Refused(f"unable to detect disk size - please specify {key} (size)")
            part["volume"] = f"{default}:{options.to_kib(part.pop('size')) / options.KIB_PER['G']}"
        return volumes

    async def _remove_replaced(self) -> None:
        """Remove the container that was there, with everything that it had."""
        machine, vmid = self.machine, self.vmid
        if self.before is None:
            return
        disks.check_names(machine, self.before)
        for volid in self.old:
            machine.storages.remove(volid)
        snapshots.forget(machine, vmid)
        await machine.guests.destroy(vmid)
        machine.forget_origin(vmid)
        machine.configs.put(vmid, {"lock": "create"}, {})

    async def _unpack(self, config: Config, dump: Dump, template: Path, work: Work) -> None:
        machine, failed = self.machine, f"{self._unpack_command()} failed: exit code 2"
        root = options.volumes(config)["rootfs"]["volume"].partition(":")[0]
        if machine.faults.is_full(root, "unpack"):
            raise Refused(failed)
        try:
            await machine.guests.load(options.spec(self.vmid, config, template), dump.archive)
        except GuestError as error:
            work.log("tar: Unexpected EOF in archive")
            work.log("tar: Error is not recoverable: exiting now")
            raise Refused(failed) from error
        machine.remember_origin(self.vmid, template)
        work.log(f"Total bytes read: {dump.archive.stat().st_size}")

    def _volumes(self) -> frozenset[str]:
        return frozenset(volume.volid for volume in self.machine.storages.volumes_of(self.vmid))

    def _unpack_command(self) -> str:
        option = dumps.tar_option(self.params["ostemplate"])
        return create.UNPACK.format(vmid=self.vmid).replace(" --zstd", option)

    async def _undo(self) -> None:
        """Take away what was made; a container whose place it had taken is gone by then."""
        machine, vmid = self.machine, self.vmid
        if self.before is not None and not self.is_begun:
            machine.configs.put(vmid, self.before)
            return
        for volid in self._volumes() - self.old:
            machine.storages.remove(volid)
        snapshots.forget(machine, vmid)
        await machine.guests.destroy(vmid)
        machine.forget_origin(vmid)
        machine.configs.remove(vmid)
