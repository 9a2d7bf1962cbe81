"""Making pending changes real: in a container that runs, what it can take; in one that doesn't, all of them.

Theory of operation (PVE::LXC::Config, recorded). A change that fails names its option and nothing is stored,
except at a start, which goes on without it. A removed or replaced mount point's disk stays as `unusedN`. The
root file system is not looked at: whatever was written there is what the next start meets.
"""

import re
from dataclasses import dataclass, field

from slipway.lab.host import options, snapshots
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine
from slipway.lab.host.pending import cleaned, is_hot
from slipway.lab.problems import Refused

NEW_DISK = re.compile(r"([^/:\s]+):(\d+(?:\.\d+)?)")
NO_HOTPLUG = "failed to change apparmor profile: Invalid argument"
"""What the recorded node said of each disk that should be mounted in a running container."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A config and what waits, while changes are taken from one into the other."""

    machine: Machine
    vmid: int
    config: Config
    pending: dict[str, str | None]
    errors: dict[str, str] = field(default_factory=dict)

    def clean(self) -> None:
        """Drop what changes nothing."""
        self.pending = cleaned(self.config, self.pending)

    def apply(self, keys: set[str], *, is_running: bool) -> None:
        """Apply those of the named changes that can be applied now; removals first."""
        words = "unable to hotplug {}: {}\n" if is_running else "unable to apply pending change {} : {}\n"
        for key in sorted(keys & set(self.pending), key=lambda key: (self.pending[key] is not None, key)):
            if is_running and not is_hot(key, self.config, is_removal=self.pending[key] is None):
                continue
            try:
                self._apply(key, self.pending[key], is_running=is_running)
            except Refused as refused:
                reasons = "; ".join((refused.errors or {}).values()) or refused.message
                self.errors[key] = words.format(key, reasons)

    def store(self) -> None:
        """Write both down."""
        self.machine.configs.put(self.vmid, self.config, self.pending)

    def _apply(self, key: str, value: str | None, *, is_running: bool) -> None:
        old = self.config.get(key)
        if value is None:
            self.config.pop(key, None)
            self._let_go(key, old)
        else:
            self.config[key] = self._value(key, value, is_running=is_running)
            if options.is_mount_point(key):
                self._let_go(key, old)
        del self.pending[key]

    def _value(self, key: str, value: str, *, is_running: bool) -> str:
        if options.is_mount_point(key):
            return self._mount_point(key, value, is_running=is_running)
        if key.startswith("net") and is_running:
            bridge = options.networks({key: value})[key].get("bridge")
            if bridge and bridge not in self.machine.guests.bridges():
                raise Refused(f"bridge '{bridge}' does not exist")
        return value

    def _mount_point(self, key: str, value: str, *, is_running: bool) -> str:
        parts = options.volumes({key: value})[key]
        if parts["volume"].startswith("/"):
            return value
        if is_running:
            raise Refused(NO_HOTPLUG)
        if new_disk := NEW_DISK.fullmatch(parts["volume"]):
            self.machine.storages.for_containers(new_disk[1])
            kib = int(float(new_disk[2]) * options.KIB_PER["G"])
            volume = self.machine.storages.allocate(new_disk[1], self.vmid, kib)
            parts |= {"volume": volume.volid, "size": options.from_kib(kib)}
        elif existing := self.machine.storages.find(parts["volume"]):
            parts["size"] = options.from_kib(existing.size_kib)
        return options.stored_volume(key, parts)

    def _let_go(self, key: str, old: str | None) -> None:
        """Keep a disk that nothing uses any more as an unused one; remove an unused one."""
        if old is None or not re.fullmatch(r"(mp|unused)\d+", key):
            return
        volid = old.partition(",")[0].removeprefix("volume=")
        if volid.startswith("/") or self._is_used(volid):
            return
        if key.startswith("unused"):
            if self.machine.storages.find(volid):
                self.machine.storages.remove(volid)
            return
        number = next(number for number in range(256) if f"unused{number}" not in self.config)
        self.config[f"unused{number}"] = volid

    def _is_used(self, volid: str) -> bool:
        waiting = {key: value for key, value in self.pending.items() if value is not None}
        stored = (one["config"] for one in snapshots.stored(self.machine, self.vmid).values())
        places = (self.config, waiting, *stored)
        return any(part["volume"] == volid for one in places for part in options.volumes(one).values())


def draft(machine: Machine, vmid: int) -> Draft:
    """Begin with what is stored."""
    return Draft(
        machine=machine, vmid=vmid, config=machine.configs.get(vmid), pending=machine.configs.pending(vmid)
    )


def apply_at_start(machine: Machine, vmid: int) -> Config:
    """Apply everything that waits for a start; what fails goes on waiting."""
    changes = draft(machine, vmid)
    if changes.pending:
        changes.clean()
        changes.apply(set(changes.pending), is_running=False)
        changes.store()
    return changes.config
