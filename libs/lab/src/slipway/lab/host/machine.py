"""The node as one thing: what it is made of, for those who act on it. No behaviour of its own."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.faults import Faults
from slipway.lab.guests.protocol import Guests, GuestSpec
from slipway.lab.host import options, records
from slipway.lab.host.configs import Config, Configs
from slipway.lab.host.storages import Storages
from slipway.lab.host.tasks import Tasks
from slipway.lab.settings import Timings


@dataclass(slots=True, kw_only=True)
class Machine:
    """A pretend Proxmox VE node."""

    node: str
    address: str
    folder: Path
    fingerprint: str
    timings: Timings
    guests: Guests
    faults: Faults
    configs: Configs
    storages: Storages
    tasks: Tasks
    booted: float = field(default_factory=time.time)

    def remember_origin(self, vmid: int, template: Path) -> None:
        """Keep from which archive a guest was made; Proxmox has no place for it, the backend asks."""
        records.write_json(self._origin(vmid), str(template))

    def forget_origin(self, vmid: int) -> None:
        """Drop it with the guest."""
        self._origin(vmid).unlink(missing_ok=True)

    def has_guest(self, vmid: int) -> bool:
        """Whether a guest stands behind the config; a zombie has none."""
        return self._origin(vmid).exists()

    def spec(self, vmid: int, config: Config) -> GuestSpec:
        """Describe the guest behind a config."""
        return options.spec(vmid, config, Path(records.read_json(self._origin(vmid))))

    def _origin(self, vmid: int) -> Path:
        return self.folder / "containers" / f"origin-{vmid}"
