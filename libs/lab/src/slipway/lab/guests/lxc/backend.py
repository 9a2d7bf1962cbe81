"""Guests that are real LXC containers: systemd inside, limits, NAT, overlays over one unpacked template.

How it works. All names follow from the data folder (`place`). `open` is like the boot of a node: whatever a
killed predecessor left running is stopped, mounts, bridge and NAT are made anew, disks stay. `create`
makes two empty folders over the unpacked template; `start` mounts them, writes the files that follow from the
configuration and starts LXC's own monitor, which outlives the lab. `execute` is `lxc-attach`, as `pct exec`
is.

Guaranteed: every wait ends; two labs with different data folders do not meet; one data folder has one lab.
Not guaranteed: a disk's size is recorded but not enforced, IPv6 has no route, and guests of a killed lab run
until the next `open` with its folder, or `python -m slipway.lab.guests.lxc cleanup`.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TextIO

from slipway.lab.guests import archives, attached, commands, proc, setup
from slipway.lab.guests.attached import Process
from slipway.lab.guests.claim import claim
from slipway.lab.guests.lxc import (
    cleanup,
    config,
    layers,
    measure,
    network,
    place,
    rootfs,
    template,
)
from slipway.lab.guests.lxc.life import Life, frozen
from slipway.lab.guests.lxc.stored import Stored, exists, read, write
from slipway.lab.guests.protocol import GuestError, GuestSpec, Usage

START_SECONDS = 30.0
STOP_SECONDS = 20.0
DISK_AGE_SECONDS = 10.0
"""A disk's size is counted file by file, so not at every question."""
BRIDGE = "vmbr0"


class LxcGuests:
    """Implements `protocol.Guests`."""

    def __init__(self, data: Path) -> None:
        self._place = place.place(data)
        self._lives: dict[int, Life] = {}
        self._disks: dict[int, tuple[float, int]] = {}
        self._subnet: IPv4Network | None = None
        self._lock: TextIO | None = None
        self._host = config.Host(
            architecture="", processors=0, first_id=0, has_apparmor=False, has_swap_limit=False
        )

    async def open(self) -> None:
        """Claim the data folder, clean up after a predecessor, set up network and kernel settings."""
        if setup.missing():
            raise GuestError(
                f"real containers need {', '.join(setup.missing())}; `setup.apply` installs them"
            )
        self._lock = claim(self._place.guests)
        try:
            await asyncio.to_thread(setup.adjust)
            await cleanup.leftovers(self._place)
            await asyncio.to_thread(layers.forget_generations)
            await asyncio.to_thread(cleanup.leave_trace, self._place)
            self._host = _host()
            self._subnet = await network.up(self._place)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop all guests, then remove mounts, bridge and NAT; disks stay."""
        if self._lock is None:
            return
        await cleanup.leftovers(self._place)
        self._lives.clear()
        self._subnet = None
        self._lock.close()
        self._lock = None

    async def templates(self) -> Sequence[Path]:
        """Return the lab's archive, building it when the cache has none (half a minute)."""
        return [await template.ready()]

    def bridges(self) -> Mapping[str, str]:
        """Return the one bridge, which the kernel knows by another name."""
        if self._subnet is None:
            return {}
        return {BRIDGE: f"{self._subnet[1]}/{self._subnet.prefixlen}"}

    async def create(self, spec: GuestSpec) -> None:
        """Unpack the template unless it is, and make the guest's own layer with root's password and keys."""
        folder, root = self._place.folder(spec.vmid), self._place.root(spec.vmid)
        if exists(folder):
            raise GuestError(f"guest {spec.vmid} exists already")
        base = await layers.unpacked(spec.template, first_id=self._host.first_id if spec.unprivileged else 0)
        try:
            await asyncio.to_thread(layers.prepare, folder, base)
            await layers.mount(root, folder, base)
            await asyncio.to_thread(rootfs.write_access, root, spec)
            write(folder, Stored(spec=spec, base=base, lease=None))
        except OSError as error:
            raise GuestError(f"creating the disk failed: {error}") from error
        finally:
            await layers.unmount(root)
            if not exists(folder):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def update(self, spec: GuestSpec) -> None:
        """Keep the configuration for the next start."""
        stored = self._stored(spec.vmid)
        write(self._place.folder(spec.vmid), replace(stored, spec=spec))

    async def destroy(self, vmid: int) -> None:
        """Stop it and remove its folder."""
        await self.stop(vmid)
        self._disks.pop(vmid, None)
        for folder in (self._place.folder(vmid), self._place.runtime(vmid)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def save(self, vmid: int, archive: Path) -> None:
        """Write its own layer; a running one is frozen meanwhile."""
        self._stored(vmid)
        async with frozen(self._place, vmid) if self.is_running(vmid) else contextlib.nullcontext():
            await archives.pack(self._place.folder(vmid), ["delta"], archive)

    async def load(self, spec: GuestSpec, archive: Path) -> None:
        """Put the archive's layer in the place of the guest's."""
        if self.is_running(spec.vmid):
            raise GuestError(f"guest {spec.vmid} runs")
        folder = self._place.folder(spec.vmid)
        lease = self._stored(spec.vmid).lease if exists(folder) else None
        base = await layers.unpacked(spec.template, first_id=self._host.first_id if spec.unprivileged else 0)
        draft = folder.with_name(f".{spec.vmid}.draft")
        try:
            await asyncio.to_thread(layers.prepare, draft, base)
            await archives.unpack(archive, draft)
            write(draft, Stored(spec=spec, base=base, lease=lease))
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        self._disks.pop(spec.vmid, None)

    async def start(self, vmid: int) -> None:
        """Mount, configure, and start LXC's monitor; returns when init runs."""
        if self.is_running(vmid):
            raise GuestError(f"guest {vmid} runs already")
        stored, folder, root = self._leased(vmid), self._place.folder(vmid), self._place.root(vmid)
        text = self._config(stored, root)
        await asyncio.to_thread(_write_config, self._place.runtime(vmid), text)
        await asyncio.to_thread(layers.gather, self._place.folders())
        await layers.mount(root, folder, stored.base)
        try:
            await asyncio.to_thread(rootfs.write_settings, root, stored.spec, resolvers=network.resolvers())
            self._lives[vmid] = await Life.start(self._place, vmid, timeout_seconds=START_SECONDS)
        except (GuestError, OSError) as error:
            await layers.unmount(root)
            raise GuestError(_last_words(self._place.runtime(vmid)) or str(error)) from error

    async def stop(self, vmid: int) -> None:
        """Kill it and unmount its root."""
        if self.is_running(vmid):
            await commands.run(["lxc-stop", *self._place.named(vmid), "-k"], timeout_seconds=STOP_SECONDS)
        await self._ended(vmid)

    async def shutdown(self, vmid: int, *, timeout_seconds: float) -> bool:
        """Ask its init to power off."""
        if not self.is_running(vmid):
            return True
        argv = ["lxc-stop", *self._place.named(vmid), "--nokill"]
        argv += ["--timeout", str(max(1, round(timeout_seconds)))]
        await commands.attempt(argv, timeout_seconds=timeout_seconds + STOP_SECONDS)
        if self.is_running(vmid):
            return False
        await self._ended(vmid)
        return True

    def is_running(self, vmid: int) -> bool:
        """Return whether its init runs; one that rebooted by itself has a new one."""
        return vmid in self._lives and self._lives[vmid].is_running()

    def init_pid(self, vmid: int) -> int:
        """Return the process id of its init, as the host counts."""
        return self._alive(vmid).pid

    async def execute(self, vmid: int, argv: Sequence[str]) -> Process:
        """Attach a command, with the environment that `pct exec` gives."""
        self._alive(vmid)
        entering = ["lxc-attach", *self._place.named(vmid), "--clear-env"]
        entering += ["--set-var", f"PATH={attached.PCT_PATH}", "--"]
        return await attached.attach([*entering, *argv], environment=commands.environment())

    async def usage(self, vmid: int) -> Usage:
        """Read its control groups."""
        life = self._alive(vmid)
        disk_bytes = await self._disk_bytes(vmid)
        try:
            return measure.usage(life.pid, name=self._place.name(vmid), disk_bytes=disk_bytes)
        except (OSError, KeyError) as error:
            raise GuestError(f"container '{vmid}' not running!") from error

    def _alive(self, vmid: int) -> Life:
        if not self.is_running(vmid):
            raise GuestError(f"container '{vmid}' not running!")
        return self._lives[vmid]

    def _stored(self, vmid: int) -> Stored:
        return read(self._place.folder(vmid), vmid)

    def _leased(self, vmid: int) -> Stored:
        """Return what is stored of a guest, with an address if it asks for one and has none."""
        stored = self._stored(vmid)
        wants = any(wanted.ip == "dhcp" for wanted in stored.spec.networks)
        if self._subnet is None or not wants or _fits(stored.lease, self._subnet):
            return stored
        others = [read(folder, 0) for folder in self._place.folders() if exists(folder)]
        taken = [other.lease or "" for other in others]
        taken += [wanted.ip or "" for other in others for wanted in other.spec.networks]
        leased = replace(stored, lease=network.lease(self._subnet, taken))
        write(self._place.folder(vmid), leased)
        return leased

    def _config(self, stored: Stored, root: Path) -> str:
        gateway = str(self._subnet[1]) if self._subnet else None
        leased = next((each for each in stored.spec.networks if each.ip == "dhcp"), None)
        addresses = [
            (stored.lease, gateway) if wanted is leased
            else (wanted.ip if wanted.ip and "/" in wanted.ip else None, wanted.gw)
            for wanted in stored.spec.networks
        ]  # fmt: skip
        return config.write(
            stored.spec, self._host, root=str(root), bridges={BRIDGE: self._place.bridge}, addresses=addresses
        )

    async def _ended(self, vmid: int) -> None:
        self._lives.pop(vmid, None)
        await layers.unmount(self._place.root(vmid))
        await asyncio.to_thread(layers.gather, [self._place.folder(vmid)])

    async def _disk_bytes(self, vmid: int) -> int:
        measured_at, size = self._disks.get(vmid, (0.0, 0))
        if time.monotonic() - measured_at > DISK_AGE_SECONDS:
            stored = self._stored(vmid)
            delta = self._place.folder(vmid) / "delta"
            size = await asyncio.to_thread(proc.disk_bytes, [stored.base, delta])
            self._disks[vmid] = (time.monotonic(), size)
        return size


def _write_config(runtime: Path, text: str) -> None:
    runtime.mkdir(parents=True, exist_ok=True)
    path = runtime / "config"
    path.touch(mode=0o600)
    path.write_text(text)


def _host() -> config.Host:
    return config.Host(
        architecture=os.uname().machine,
        processors=os.cpu_count() or 1,
        first_id=place.id_range(place.ID_FILES[0].read_text()) or 0,
        has_apparmor=Path("/sys/kernel/security/apparmor").exists() and bool(shutil.which("apparmor_parser")),
        has_swap_limit=Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists(),
    )


def _fits(lease: str | None, subnet: IPv4Network) -> bool:
    return lease is not None and IPv4Network(lease, strict=False) == subnet


def _last_words(runtime: Path) -> str:
    """Return the last error of LXC's log, without its stamps."""
    log = runtime / "lxc.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line.rpartition(" - ")[2] for line in lines if " ERROR " in line]
    return errors[0] if errors else ""
