"""The node as one thing: what it is made of, for those who act on it. No behaviour of its own."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.faults.standing import Faults
from slipway.lab.guests.protocol import Guests, GuestSpec
from slipway.lab.host import options, records
from slipway.lab.host.certificates import Certificates
from slipway.lab.host.condition import Condition
from slipway.lab.host.configs import HIGHEST_VMID, LOWEST_VMID, Config, Configs
from slipway.lab.host.pools import Pools
from slipway.lab.host.storages import Storages
from slipway.lab.host.tasks import Tasks
from slipway.lab.settings import Timings


@dataclass(slots=True, kw_only=True)
class Machine:
    """A pretend Proxmox VE node, and by `members` the cluster that it is in."""

    condition: Condition
    address: str
    folder: Path
    shared_folder: Path
    """What all nodes of the cluster see."""
    certificates: Certificates
    timings: Timings
    guests: Guests
    faults: Faults
    configs: Configs
    storages: Storages
    tasks: Tasks
    pools: Pools
    backups: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held by the one run of vzdump that a node has at a time."""
    neighbours: list["Machine"] = field(default_factory=list, repr=False)
    """All nodes that the lab has, this one included; one and the same list for all."""
    booted: float = field(default_factory=time.monotonic)
    remote_processes: int = 0
    """Programs that lines over SSH have begun so far."""

    @property
    def node(self) -> str:
        """Its name."""
        return self.condition.name

    @property
    def members(self) -> dict[str, "Machine"]:
        """The nodes of the cluster by name, this one included."""
        return {one.node: one for one in self.neighbours if not one.condition.is_gone}

    @property
    def is_online(self) -> bool:
        """Whether the other nodes see it."""
        return self.condition.is_online

    def now(self) -> float:
        """Read its clock."""
        return self.condition.now()

    def is_running(self, vmid: int) -> bool:
        """Return whether one of this node's containers runs."""
        return vmid in self.configs and self.guests.is_running(vmid)

    def home_of(self, vmid: int) -> "Machine | None":
        """Return the node of the cluster that has a container."""
        return next((one for one in self.members.values() if vmid in one.configs), None)

    def next_vmid(self) -> int:
        """Return the lowest number that is free in the cluster. It is not reserved."""
        return next(vmid for vmid in range(LOWEST_VMID, HIGHEST_VMID) if not self.is_taken(vmid))

    def is_taken(self, vmid: int) -> bool:
        """Return whether a guest of the cluster has a number, those included that are only shown."""
        return self.home_of(vmid) is not None or vmid in self.faults.foreign_guests()

    def remember_origin(self, vmid: int, template: Path) -> None:
        """Keep from which archive a guest was made; Proxmox has no place for it, the backend asks."""
        records.write_json(self._origin(vmid), str(template))

    def forget_origin(self, vmid: int) -> None:
        """Drop it with the guest."""
        self._origin(vmid).unlink(missing_ok=True)

    def birth(self, vmid: int) -> int:
        """Return a number that differs between one guest and the next one with the same VMID."""
        origin = self._origin(vmid)
        return origin.stat().st_mtime_ns if origin.exists() else 0

    def has_guest(self, vmid: int) -> bool:
        """Return whether a guest stands behind the config; a zombie has none."""
        return self._origin(vmid).exists()

    def spec(self, vmid: int, config: Config) -> GuestSpec:
        """Describe the guest behind a config."""
        return options.spec(vmid, config, self.origin(vmid))

    def origin(self, vmid: int) -> Path:
        """Return the archive that a guest was made from."""
        return Path(records.read_json(self._origin(vmid)))

    def _origin(self, vmid: int) -> Path:
        return self.folder / "containers" / f"origin-{vmid}"
