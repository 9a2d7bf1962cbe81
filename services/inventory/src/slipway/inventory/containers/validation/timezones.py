"""The time zones that Proxmox takes. Pure.

They are `host`, `UTC` and the names of zone.tab (PVE::JSONSchema 9.2, `pve_verify_timezone`), here those of
the package tzdata; so former names like Asia/Calcutta are none.
"""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import tzdata

from slipway.inventory.containers.validation.texts import shown


def fault(name: str) -> str | None:
    """Return what is wrong with the name of a time zone."""
    if name in {"host", "UTC"} or name in names():
        return None
    close = get_close_matches(name[:64], names(), n=1)
    instead = f" The nearest name is {close[0]}." if close else ""
    return (
        f"{shown(name)} is not what Proxmox takes: `host`, `UTC`, or a name of zone.tab like "
        f"Europe/Berlin.{instead}"
    )


@cache
def names() -> frozenset[str]:
    """Return the names of zone.tab."""
    lines = files(tzdata).joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines()
    return frozenset(line.split("\t")[2] for line in lines if not line.startswith("#"))
