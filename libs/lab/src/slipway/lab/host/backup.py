"""Backing containers up: vzdump, with its log.

Theory of operation (PVE::VZDump, PVE::VZDump::LXC). Only parameters are checked before the task; the storage,
and each container's right and state, inside it. One that fails does not hold up the others: the task goes on
and ends with `job errors`. A container is locked (`backup`) meanwhile. Mode `snapshot` becomes `suspend` if
a storage has no snapshots; `stop` shuts the container down and starts it again.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.lab.access.actors import Actor
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import dumps, locks, options, snapshots
from slipway.lab.host.configs import Config
from slipway.lab.host.dumps import Dump
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Interrupted, Work
from slipway.lab.problems import Refused

STOP_SECONDS = 600.0
BROKEN_OFF = "interrupted by signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One run of vzdump."""

    machine: Machine
    actor: Actor
    vmids: Sequence[int]
    storage: str
    params: Mapping[str, str]

    async def work(self, work: Work) -> None:
        """Back one container after the other up; one run at a time on a node."""
        self._folder()
        if self.machine.backups.locked():
            work.log("INFO: trying to get global lock - waiting...")
        async with self.machine.backups:
            await self._all(work)

    async def _all(self, work: Work) -> None:
        words = " ".join(f"--{key} {value}" for key, value in sorted(self.params.items()) if key not in _PATH)
        vmids = " ".join(str(vmid) for vmid in self.vmids)
        work.log(f"INFO: starting new backup job: vzdump {vmids} {words}".rstrip())
        for vmid in self.vmids:
            if vmid in self.machine.configs and not self.actor.may(f"/vms/{vmid}", "VM.Backup"):
                raise Refused(f"403 Permission check failed (/vms/{vmid}, VM.Backup)")
        failed = [vmid for vmid in self.vmids if not await self._one(vmid, work)]
        if failed:
            work.log("INFO: Backup job finished with errors")
            raise Refused("job errors")
        work.log("INFO: Backup job finished successfully")

    def _folder(self) -> str | None:
        """Return the storage's folder; refuse a storage that keeps no backups."""
        prefix = f"could not get storage information for '{self.storage}': "
        try:
            storage = self.machine.storages.get(self.storage)
        except Refused as refused:
            raise Refused(
                f"could not activate storage '{self.storage}': {refused}\n{prefix}{refused}"
            ) from refused
        if "backup" not in storage.content:
            raise Refused(f"{prefix}can't use storage '{self.storage}' for backups - wrong content type")
        return storage.path

    async def _one(self, vmid: int, work: Work) -> bool:
        began = time.monotonic()
        work.log(f"INFO: Starting Backup of VM {vmid} (lxc)")
        work.log(f"INFO: Backup started at {time.strftime('%Y-%m-%d %H:%M:%S')}")
        try:
            self._check_known(vmid)
            async with locks.holding(self.machine, vmid, "backup", work) as config:
                await self._locked(vmid, config, work)
        except (Refused, GuestError) as error:
            work.log(f"ERROR: Backup of VM {vmid} failed - {error}")
            work.log(f"INFO: Failed at {time.strftime('%Y-%m-%d %H:%M:%S')}")
            return False
        except asyncio.CancelledError:
            if work.is_killed:
                raise
            work.log(f"ERROR: Backup of VM {vmid} failed - {BROKEN_OFF}")
            raise Interrupted(f"Backup of VM {vmid}") from None
        duration = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - began))
        work.log(f"INFO: Finished Backup of VM {vmid} ({duration})")
        work.log(f"INFO: Backup finished at {time.strftime('%Y-%m-%d %H:%M:%S')}")
        return True

    def _check_known(self, vmid: int) -> None:
        if vmid not in self.machine.configs:
            raise Refused(f"unable to find VM '{vmid}'")

    async def _locked(self, vmid: int, config: Config, work: Work) -> None:
        runs = self.machine.is_running(vmid)
        work.log(f"INFO: status = {'running' if runs else 'stopped'}")
        work.log(f"INFO: CT Name: {config.get('hostname', f'CT{vmid}')}")
        for key, part in options.volumes(config).items():
            work.log(f"INFO: including mount point {key} ('{part.get('mp', '/')}') in backup")
        mode = self._mode(config, work) if runs else "stop"
        work.log(f"INFO: backup mode: {mode}")
        work.log("INFO: ionice priority: 7")
        dump = dumps.new(self.machine, self.storage, vmid, self.params.get("compress", "0"))
        async with self._still(vmid, mode, work, runs=runs):
            work.log(f"INFO: creating vzdump archive '{self._folder()}/dump/{dump.name}'")
            await self.machine.faults.at_task("middle", work)
            await self._write(vmid, dump, config, work)

    def _mode(self, config: Config, work: Work) -> str:
        mode = self.params.get("mode", "snapshot")
        if mode == "snapshot" and not snapshots.possible(self.machine, config):
            work.log("INFO: mode failure - some volumes do not support snapshots")
            work.log("INFO: trying 'suspend' mode instead")
            return "suspend"
        return mode

    @contextlib.asynccontextmanager
    async def _still(self, vmid: int, mode: str, work: Work, *, runs: bool) -> AsyncIterator[None]:
        """Hold a running container as the mode says while it is copied."""
        if not runs:
            yield
            return
        first, last = _WORDS[mode]
        work.log(first)
        began = time.monotonic()
        if mode == "stop":
            await self._stop(vmid)
        try:
            yield
        finally:
            if mode == "stop" and not work.is_killed:
                await self.machine.guests.start(vmid)
            if not work.is_killed:
                work.log(last)
                if mode != "snapshot":
                    work.log(f"INFO: guest is online again after {time.monotonic() - began:.0f} seconds")

    async def _stop(self, vmid: int) -> None:
        if not await self.machine.guests.shutdown(vmid, timeout_seconds=STOP_SECONDS):
            raise Refused("container did not stop")

    async def _write(self, vmid: int, dump: Dump, config: Config, work: Work) -> None:
        template = self.machine.spec(vmid, config).template
        await _save(self.machine, vmid, dump, work)
        size = dump.archive.stat().st_size
        work.log(f"INFO: Total bytes written: {size} ({size >> 20}MiB, 324MiB/s)")
        work.log(f"INFO: archive file size: {max(1, size >> 20)}MB")
        config_inside = {key: value for key, value in config.items() if key not in ("lock", "parent")}
        dumps.finish(dump, config_inside, template)
        if notes := self.params.get("notes-template"):
            work.log("INFO: adding notes to backup")
            dumps.update(dump, notes=dumps.expand(notes, self.machine, vmid, config))
        if self.params.get("protected") == "1":
            work.log("INFO: marking backup as protected")
            dumps.update(dump, is_protected=True)


_PATH = ("node", "vmid")
_WORDS = {
    "stop": ("INFO: stopping virtual guest", "INFO: restarting vm"),
    "suspend": ("INFO: suspend vm to make snapshot", "INFO: resume vm"),
    "snapshot": ("INFO: create storage snapshot 'vzdump'", "INFO: cleanup temporary 'vzdump' snapshot"),
}


async def _save(machine: Machine, vmid: int, dump: Dump, work: Work) -> None:
    if machine.faults.is_full(dump.storage, "backup"):
        work.log("INFO: zstd: error 70 : Write error : cannot write block : No space left on device")
        tar = "lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- tar cpf - --totals ./"
        pipe = f"set -o pipefail && {tar} | zstd '--threads=1' >{dump.name}.dat"
        raise Refused(f"command '{pipe}' failed: exit code 70")
    await machine.guests.save(vmid, dump.archive)
