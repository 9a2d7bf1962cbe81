"""Guests without LXC: real commands in private namespaces, pretended packages and services.

How it works. A guest is a folder. Starting it starts one process (`init`) in new user, mount, pid,
network, host name and IPC namespaces; `execute` enters them with `nsenter`. So scripts, locks, process
groups, files and sockets are real; `apt-get`, `systemctl` and accounts are shims that say that they are
simulated, and nginx and postgresql are small servers of ours. The lab listens on the guest's address (from
a loopback range) and passes connections in, at the same port, or 8000 above it where an ordinary user may not
listen at the same.

Guaranteed: nothing outside the data folder is written; all processes of a guest die with it, and with the
lab. Not guaranteed: limits of memory, cores and disk (recorded only), users (there is one), static
addresses outside the range (they answer inside the guest only).
"""

import asyncio
import hashlib
import re
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter

from slipway.lab.guests import archives, attached, proc
from slipway.lab.guests.attached import Process
from slipway.lab.guests.claim import claim
from slipway.lab.guests.commands import program
from slipway.lab.guests.protocol import GuestError, GuestSpec, Usage
from slipway.lab.guests.simulated import tree
from slipway.lab.guests.simulated.possible import impossible
from slipway.lab.guests.simulated.running import Running

START_SECONDS = 15.0
DISK_AGE_SECONDS = 30.0
"""For how long the size of a guest's files is not added up again."""
RANGES = 128
RANGE_PORT = 8006
"""At the address of a lab's bridge, where nothing else listens."""
ENTER = (
    "--user", "--mount", "--pid", "--uts", "--ipc", "--net",
    "--root", "--wd", "--preserve-credentials", "--",
)  # fmt: skip
_SPEC = TypeAdapter(GuestSpec)


class SimulatedGuests:
    """Implements `protocol.Guests`."""

    def __init__(self, data: Path) -> None:
        self._data = data.resolve() / "simulated"
        self._range = ""
        """The first two numbers of the guests' addresses; no other lab of this machine has them."""
        self._range_claim: socket.socket | None = None
        self._running: dict[int, Running] = {}
        self._disks: dict[int, tuple[float, int]] = {}
        """When the files of a guest were added up last, and their bytes."""
        self._namespaces = proc.Namespaces()
        self._lock: TextIO | None = None

    async def open(self) -> None:
        """Lay out shims and template; a predecessor's guests died with it, their disks stay."""
        reason = await asyncio.to_thread(impossible)
        if reason is not None:
            raise GuestError(reason)
        self._lock = claim(self._data)
        self._range, self._range_claim = _claim_range(self._data)
        await asyncio.to_thread(tree.write_shims, self._data / "shims")
        await asyncio.to_thread(tree.build_template, self._data / "templates")

    async def close(self) -> None:
        """Stop every guest."""
        await asyncio.gather(*(self.stop(vmid) for vmid in list(self._running)))
        for held in (self._range_claim, self._lock):
            if held is not None:
                held.close()
        self._range_claim = self._lock = None

    async def templates(self) -> Sequence[Path]:
        """Return the one archive: a skeleton without programs, for these come from the host's `/usr`."""
        return [await asyncio.to_thread(tree.build_template, self._data / "templates")]

    def bridges(self) -> Mapping[str, str]:
        """Return a bridge that exists by name only; its network is part of the loopback range."""
        return {"vmbr0": f"{self._range}.0.1/16"}

    async def create(self, spec: GuestSpec) -> None:
        """Unpack the template into a new folder."""
        guest = self._folder(spec.vmid)
        if guest.exists():
            raise GuestError(f"guest {spec.vmid} exists already")
        try:
            await tree.unpack(spec.template, guest)
        except (OSError, GuestError) as error:
            shutil.rmtree(guest, ignore_errors=True)
            raise GuestError(f"unpacking {spec.template.name} failed: {error}") from error
        await self.update(spec)

    async def update(self, spec: GuestSpec) -> None:
        """Remember the configuration and write the files that follow from it."""
        guest = self._guest(spec.vmid)
        (guest / "guest.json").write_bytes(_SPEC.dump_json(replace(spec, password=None)))
        etc = guest / "root" / "etc"
        name = spec.hostname.partition(".")[0]
        (etc / "hostname").write_text(f"{name}\n")
        names = spec.hostname if spec.hostname == name else f"{spec.hostname} {name}"
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {names}\n")
        if spec.nameserver:
            lines = [f"nameserver {server}\n" for server in re.split(r"[,; ]+", spec.nameserver)]
            (etc / "resolv.conf").write_text("".join(lines))
        if spec.ssh_public_keys:
            keys = guest / "root" / "root" / ".ssh" / "authorized_keys"
            keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            keys.write_text(spec.ssh_public_keys)

    async def destroy(self, vmid: int) -> None:
        """Stop it and remove its folder."""
        await self.stop(vmid)
        self._disks.pop(vmid, None)
        await asyncio.to_thread(_remove, self._folder(vmid))

    async def save(self, vmid: int, archive: Path) -> None:
        """Write its tree and what it changed in `/usr`; a running one goes on."""
        await archives.pack(self._guest(vmid), tree.OWN, archive)

    async def load(self, spec: GuestSpec, archive: Path) -> None:
        """Put the archive's tree in the place of the guest's."""
        if self.is_running(spec.vmid):
            raise GuestError(f"guest {spec.vmid} runs")
        guest = self._folder(spec.vmid)
        draft = guest.with_name(f".{spec.vmid}.draft")
        await asyncio.to_thread(_remove, draft)
        try:
            (draft / "work").mkdir(parents=True)
            await archives.unpack(archive, draft)
            await asyncio.to_thread(_remove, guest)
            draft.rename(guest)
        finally:
            await asyncio.to_thread(_remove, draft)
        await self.update(spec)

    async def start(self, vmid: int) -> None:
        """Start the guest's first process and wait until it has built its view."""
        if self.is_running(vmid):
            raise GuestError(f"guest {vmid} runs already")
        guest = self._guest(vmid)
        spec = _SPEC.validate_json((guest / "guest.json").read_bytes())
        for network in spec.networks:
            if network.bridge not in self.bridges():
                raise GuestError(f"bridge '{network.bridge}' does not exist")
        self._running[vmid] = await Running.start(
            guest,
            hostname=spec.hostname,
            address=self._address(spec),
            hwaddr=spec.networks[0].hwaddr if spec.networks else "02:00:00:00:00:01",
            environment={**spec.environment, "container": "lxc"},
            timeout_seconds=START_SECONDS,
        )

    async def stop(self, vmid: int) -> None:
        """Kill it."""
        running = self._running.pop(vmid, None)
        if running is not None:
            await running.kill()

    async def shutdown(self, vmid: int, *, timeout_seconds: float) -> bool:
        """Ask its init to stop the units and to end."""
        running = self._running.get(vmid)
        if running is None:
            return True
        if not await running.power_off(timeout_seconds):
            return False
        await self.stop(vmid)
        return True

    def is_running(self, vmid: int) -> bool:
        """Return whether its first process lives."""
        return vmid in self._running and self._running[vmid].is_alive()

    def init_pid(self, vmid: int) -> int:
        """Return the process id of its init, as the host counts."""
        return self._alive(vmid).pid

    async def execute(self, vmid: int, argv: Sequence[str]) -> Process:
        """Run a command in the guest's namespaces."""
        running = self._alive(vmid)
        running.stir()
        entering = [program("nsenter"), f"--target={running.pid}", *ENTER]
        environment = {**running.environment, "PATH": attached.PCT_PATH, "HOME": "/root"}
        return await attached.attach([*entering, *argv], environment=environment)

    async def usage(self, vmid: int) -> Usage:
        """Add up the processes of its pid namespace."""
        running = self._alive(vmid)
        measured_at, size = self._disks.get(vmid, (0.0, 0))
        if time.monotonic() - measured_at > DISK_AGE_SECONDS:
            size = await asyncio.to_thread(proc.disk_bytes, [self._guest(vmid)])
            self._disks[vmid] = (time.monotonic(), size)
        return await asyncio.to_thread(running.usage, size, self._namespaces)

    def _alive(self, vmid: int) -> Running:
        if not self.is_running(vmid):
            raise GuestError(f"container '{vmid}' not running!")
        return self._running[vmid]

    def _folder(self, vmid: int) -> Path:
        return self._data / str(vmid)

    def _guest(self, vmid: int) -> Path:
        guest = self._folder(vmid)
        if not guest.is_dir():
            raise GuestError(f"guest {vmid} does not exist")
        return guest

    def _address(self, spec: GuestSpec) -> str:
        """Return an address with prefix length: the static one, one that follows from the VMID, or none."""
        wanted = spec.networks[0].ip if spec.networks else "dhcp"
        if wanted != "dhcp":
            return wanted if wanted and "/" in wanted else ""
        number = spec.vmid % 64000 + 256
        return f"{self._range}.{number // 256}.{number % 256}/16"


def _remove(guest: Path) -> None:
    """Remove a folder, also where the overlay or the guest left folders without permissions."""

    def unlock(function: Callable[[str], object], path: str, _: object) -> None:
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)

    if guest.exists():
        shutil.rmtree(guest, onerror=unlock)
    shutil.rmtree(guest, ignore_errors=True)


def _claim_range(data: Path) -> tuple[str, socket.socket]:
    """Take a part of the loopback range, the same for a folder unless another lab has it: a socket holds it.

    Raises:
        GuestError: if other labs have all of them.
    """
    first = hashlib.sha256(bytes(data)).digest()[0]
    for number in range(RANGES):
        addresses = f"127.{64 + (first + number) % RANGES}"
        held = socket.socket()
        try:
            held.bind((f"{addresses}.0.1", RANGE_PORT))
        except OSError:
            held.close()
        else:
            return addresses, held
    raise GuestError(f"{RANGES} labs run on this machine: no addresses are left for the guests of another")
