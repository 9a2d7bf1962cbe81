"""Disks of containers, as those who act on a whole container need them: are they there at all?"""

from collections.abc import Mapping

from slipway.lab.host import options
from slipway.lab.host.machine import Machine


def check_names(machine: Machine, config: Mapping[str, str]) -> None:
    """Refuse to touch disks whose names are none (`rootfs: local:1`, a disk that was never made)."""
    for part in options.volumes(config).values():
        if not part["volume"].startswith("/"):
            machine.storages.check_name(part["volume"])
