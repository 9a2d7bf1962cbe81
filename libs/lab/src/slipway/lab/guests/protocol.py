"""What the lab asks of a guest backend. Two exist: `lxc` (real) and `simulated` (in-process).

The lab owns everything Proxmox-like (VMIDs, configs, locks, tasks, permissions); a backend only makes,
runs and removes guests. Calls for one VMID never overlap, except `execute`, `push`, `pull` and the
read-only ones. A backend raises `GuestError` with the sentence that the task log shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slipway.lab.guests.attached import Process


class GuestError(Exception):
    """A guest could not do what was asked; the message goes to the task log as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network device as the container's config has it."""

    name: str
    bridge: str
    hwaddr: str
    ip: str | None
    """`dhcp`, `manual`, an address with prefix length, or nothing."""
    gw: str | None
    ip6: str | None
    mtu: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What a guest is made from; a subset of the Proxmox config, parsed."""

    vmid: int
    hostname: str
    template: Path
    """The template archive (`.tar`, `.tar.zst`, ...) behind the `vztmpl` volume."""
    unprivileged: bool
    cores: int
    """0 means all of the host's."""
    memory_mib: int
    swap_mib: int
    networks: tuple[Network, ...]
    nameserver: str | None
    searchdomain: str | None
    timezone: str | None
    password: str | None
    """Root's password in clear, set once at creation; None leaves it locked."""
    ssh_public_keys: str | None
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface as seen inside the guest, `lo` included."""

    name: str
    hwaddr: str
    inet: str | None
    """Address with prefix length."""
    inet6: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a running guest uses."""

    pid: int
    uptime_seconds: float
    cpu_seconds: float
    memory_bytes: int
    swap_bytes: int
    disk_bytes: int
    net_in_bytes: int
    net_out_bytes: int


class Guests(Protocol):
    """A backend."""

    async def open(self) -> None:
        """Make ready: bridge, NAT, clean up what a killed predecessor with the same data folder left."""
        ...

    async def close(self) -> None:
        """Stop every guest and take down what `open` set up."""
        ...

    async def templates(self) -> Sequence[Path]:
        """Template archives the lab offers as `vztmpl`, building missing ones into the cache."""
        ...

    def bridges(self) -> Mapping[str, str]:
        """Bridges with the gateway's address and prefix length: `{"vmbr0": "10.77.0.1/24"}`."""
        ...

    async def create(self, spec: GuestSpec) -> None:
        """Make the guest's root file system and configuration; stopped afterwards."""
        ...

    async def update(self, spec: GuestSpec) -> None:
        """Take over a changed configuration; takes effect at the next start."""
        ...

    async def destroy(self, vmid: int) -> None:
        """Remove it with its disk; nothing to do if it does not exist."""
        ...

    async def save(self, vmid: int, archive: Path) -> None:
        """Write its own disk into an archive; a running one stands still meanwhile where it can."""
        ...

    async def load(self, spec: GuestSpec, archive: Path) -> None:
        """Give a guest that does not run the disk of an archive; make the guest if there is none."""
        ...

    async def start(self, vmid: int) -> None:
        """Start it; returns when its init runs, not when it is ready."""
        ...

    async def stop(self, vmid: int) -> None:
        """Kill it."""
        ...

    async def shutdown(self, vmid: int, *, timeout_seconds: float) -> bool:
        """Ask its init to power off; False when it still runs after the timeout."""
        ...

    def is_running(self, vmid: int) -> bool:
        """Return whether its init runs."""
        ...

    def init_pid(self, vmid: int) -> int:
        """Return the process id of its init, as the host counts; refuse when it does not run."""
        ...

    async def execute(self, vmid: int, argv: Sequence[str]) -> Process:
        """Run a command inside as root: cwd `/`, no TTY, no shell added."""
        ...

    async def usage(self, vmid: int) -> Usage:
        """Measure what a running guest uses now."""
        ...
