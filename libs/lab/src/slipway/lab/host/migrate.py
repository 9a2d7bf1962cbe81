"""A container's way to another node of the cluster.

Theory of operation (PVE::LXC::Migrate, PVE::AbstractMigrate). Before the task only the target's name is
looked at, and that a running container may be restarted. In the task: the target must answer and have the
storages; what runs is shut down; the container is locked (`migrate`), its disks on storages of its own node
are copied, and then its config moves in one step: until then it is the source's, from then on the target's.
It is unlocked and, if it ran, started there, by a task of that node. A task that fails before the step starts
it again where it was; a killed one leaves it locked and stopped. The task's end is only `migration aborted`,
or `migration problems` when it is there but does not start: the cause stands in the log. All nodes have one
backend for their guests, so nothing of a guest has to be carried.
"""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.lab.access.actors import ROOT_NAME, Actor
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import locks, options, power, rights, snapshots, templates
from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.storages import Storage
from slipway.lab.host.tasks import Body, Interrupted, Work
from slipway.lab.problems import Refused, bad_parameters

SHUTDOWN_SECONDS = 180.0
SAME = "1"
"""As `target-storage`: each to the storage of the same name."""


def check(machine: Machine, actor: Actor, vmid: int, params: Mapping[str, str]) -> None:
    """Refuse what is refused before the task."""
    target = params["target"]
    if target == machine.node:
        raise bad_parameters({"target": "target is local node."})
    if target not in machine.members:
        raise Refused(f"no such cluster node '{target}'")
    machine.configs.get(vmid)
    if machine.is_running(vmid) and "1" not in (params.get("restart"), params.get("online")):
        raise Refused("can't migrate running container without --online or --restart")
    for storage in _mapping(params.get("target-storage", "")).values():
        if storage != SAME:
            actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")


def moving(machine: Machine, vmid: int, params: Mapping[str, str]) -> Body:
    """Make the body of a move."""

    async def body(work: Work) -> None:
        move = _Move(
            source=machine,
            target=machine.members[params["target"]],
            vmid=vmid,
            timeout=float(params.get("timeout", SHUTDOWN_SECONDS)),
            is_online=params.get("online") == "1",
            restarts=params.get("restart") == "1",
            mapping=_mapping(params.get("target-storage", "")),
            work=work,
        )
        began = time.monotonic()
        try:
            is_whole = await move.run()
        except (Refused, GuestError) as error:
            move.tell(f"ERROR: migration aborted (duration {_duration(began)}): {error}")
            raise Refused("migration aborted") from error
        except asyncio.CancelledError:
            if work.is_killed:
                raise
            move.tell(f"ERROR: migration aborted (duration {_duration(began)}): interrupted by signal")
            raise Interrupted("migration aborted") from None
        if not is_whole:
            move.tell(f"ERROR: migration finished with problems (duration {_duration(began)})")
            raise Refused("migration problems")
        move.tell(f"migration finished successfully (duration {_duration(began)})")

    return body


def hand_over(source: Machine, target: Machine, vmid: int, config: Config) -> None:
    """Move the config, and what the lab keeps beside it, in one step."""
    if source.has_guest(vmid):
        target.remember_origin(vmid, source.origin(vmid))
    target.configs.put(vmid, config, source.configs.pending(vmid))
    source.configs.remove(vmid)
    source.forget_origin(vmid)


@dataclass(slots=True, kw_only=True)
class _Move:
    """What the task does."""

    source: Machine
    target: Machine
    vmid: int
    timeout: float
    is_online: bool
    restarts: bool
    mapping: Mapping[str, str]
    work: Work
    ran: bool = False
    copied: list[str] = field(default_factory=list)
    """Names of the disks at the target that the source's were copied to."""

    def tell(self, line: str) -> None:
        """Write a line with the time, as moves do."""
        self.work.log(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")

    async def run(self) -> bool:
        """Move it; what ran runs again at the end. Whether it does: if not, it is there all the same."""
        source, target, vmid = self.source, self.target, self.vmid
        async with source.configs.flock(vmid, source.timings.config_lock_wait):
            self._check()
            if self.ran:
                self.tell(f"shutdown CT {vmid}")
                await power.end(source, vmid, self.timeout, forces=False)
            self.tell(f"starting migration of CT {vmid} to node '{target.node}' ({target.address})")
            config = source.configs.get(vmid)
            source.configs.put(vmid, config | {"lock": "migrate"})
            try:
                moved = self._copy(config)
                await source.faults.at_task("middle", self.work)
            except (Refused, GuestError, asyncio.CancelledError):
                if not self.work.is_killed:
                    await self._undo(config)
                raise
            self._hand_over(moved)
        self.tell("start final cleanup")
        await locks.release(target, vmid, "migrate")
        return not self.ran or await self._start_there()

    def _check(self) -> None:
        config = self.source.configs.get(self.vmid)
        check_lock(config)
        if self.source.is_running(self.vmid):
            if self.is_online:
                raise Refused("lxc live migration is currently not implemented")
            if not self.restarts:
                raise Refused("running container can only be migrated in restart mode")
            self.ran = True
        for key, part in options.volumes(config).items():
            if (kind := rights.mount_kind(config[key])) != "volume":
                if part.get("shared") != "1":
                    raise Refused(f"cannot migrate local {kind} mount point '{key}'")
                continue
            self.source.storages.get(part["volume"].partition(":")[0])
            storage = self._storage(part["volume"])
            if "rootdir" not in storage.content:
                volid = part["volume"]
                raise Refused(f"{volid}: content type 'rootdir' is not available on storage '{storage.name}'")
        if self.target.condition.silence() is not None:
            raise Refused("Can't connect to destination address using public key")

    def _storage(self, volid: str) -> Storage:
        """Look up where a disk shall be; refuse what the target lacks."""
        name = volid.partition(":")[0]
        if not self.source.storages.is_shared(name):
            target = self.mapping.get(name, self.mapping.get("", SAME))
            name = name if target == SAME else target
        storage = self.target.storages.get(name)
        if not storage.is_enabled:
            raise Refused(f"storage '{name}' is disabled")
        return storage

    def _copy(self, config: Config) -> Config:
        """Copy the disks that only the source has; give the config with their new names."""
        moved = dict(config)
        for key, part in options.volumes(config).items():
            volid = part["volume"]
            if volid.startswith("/") or self.source.storages.is_shared(volid.partition(":")[0]):
                continue
            self.tell(f"found local volume '{volid}' (in current VM config)")
            if snapshots.stored(self.source, self.vmid):
                self.tell(f"can't migrate local volume '{volid}': non-migratable snapshot exists")
                raise Refused("can't migrate CT - check log")
            moved[key] = options.stored_volume(key, part | {"volume": self._copied(volid)})
        return moved

    def _copied(self, volid: str) -> str:
        storage = self._storage(volid)
        if self.target.faults.is_full(storage.name):
            words = f"storage migration for '{volid}' to storage '{storage.name}' failed"
            raise Refused(f"{words} - exit code 255")
        kib = self.source.storages.volume(volid).size_kib
        volume = self.target.storages.allocate(storage.name, self.vmid, kib)
        self.copied.append(volume.volid)
        for line in templates.disk_lines(storage, volume):
            self.tell(f"[{self.target.node}] {line.strip()}")
        self.tell(f"volume '{volid}' is '{volume.volid}' on the target")
        return volume.volid

    def _hand_over(self, moved: Config) -> None:
        """From here on it is the target's."""
        source, target, vmid = self.source, self.target, self.vmid
        hand_over(source, target, vmid, moved | {"lock": "migrate"})
        for volume in source.storages.volumes_of(vmid):
            if not source.storages.is_shared(volume.volid.partition(":")[0]):
                source.storages.remove(volume.volid)
        place = snapshots.folder(source, vmid)
        if place.exists():
            shutil.move(place, snapshots.folder(target, vmid))

    async def _undo(self, config: Config) -> None:
        """Leave it where it was, as it was."""
        for volid in self.copied:
            self.target.storages.remove(volid)
        self.source.configs.put(self.vmid, config)
        self.tell("start final cleanup")
        if self.ran:
            self.tell("start container on source node")
            await power.begin(self.source, self.vmid, config, self.work)

    async def _start_there(self) -> bool:
        self.tell("start container on target node")
        self.tell(f"# /usr/bin/ssh -e none root@{self.target.address} pct start {self.vmid}")
        body = power.starting(self.target, self.vmid)
        started = await self.target.tasks.run_through("vzstart", str(self.vmid), ROOT_NAME, body)
        status = started.exit_status or ""
        if status == "OK" or status.startswith("WARNINGS: "):
            return True
        self.tell(f"ERROR: command 'pct start {self.vmid}' failed: {status}")
        return False


def _mapping(text: str) -> Mapping[str, str]:
    """Read `a:b,c:d`, or one storage for all."""
    pairs = (each.partition(":") for each in text.replace(";", ",").split(",") if each)
    return {
        source if separator else "": target if separator else source for source, separator, target in pairs
    }


def _duration(began: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - began))
