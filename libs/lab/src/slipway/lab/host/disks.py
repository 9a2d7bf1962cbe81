"""Disks of containers, as those who act on a whole container need them: named, turned into bases, removed."""

import re
from collections.abc import Mapping

from slipway.lab.host import options
from slipway.lab.host.machine import Machine


def check_names(machine: Machine, config: Mapping[str, str]) -> None:
    """Refuse to touch disks whose names are none (`rootfs: local:1`, a disk that was never made)."""
    for part in options.volumes(config).values():
        if not part["volume"].startswith("/"):
            machine.storages.check_name(part["volume"])


def referenced(machine: Machine, vmid: int) -> set[str]:
    """Return the disks that a config has, those that wait and those that nothing uses included."""
    waiting = {key: value for key, value in machine.configs.pending(vmid).items() if value is not None}
    volids: set[str] = set()
    for config in (machine.configs.get(vmid), waiting):
        check_names(machine, config)
        volids |= {part["volume"] for part in options.volumes(config).values()}
        volids |= {value for key, value in config.items() if key.startswith("unused")}
    return {volid for volid in volids if machine.storages.find(volid)}


def to_bases(machine: Machine, config: Mapping[str, str]) -> dict[str, str]:
    """Turn disks into those that copies begin from; give the options that name them."""
    bases = {}
    for key, part in options.volumes(config).items():
        old = machine.storages.volume(part["volume"])
        new = re.sub(r"\b(?:vm|subvol)-(?=\d+-disk)", "base-", old.volid)
        machine.storages.rename(old.volid, new)
        bases[key] = options.stored_volume(key, part | {"volume": new})
    return bases
