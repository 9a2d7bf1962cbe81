"""The interfaces inside a guest, by the host's own `ip`, as Proxmox asks. Both backends share this."""

import json
import os
from collections.abc import Mapping
from typing import Any

from slipway.lab.guests import commands
from slipway.lab.guests.protocol import GuestError, Guests, Interface

ENTER = ("--net",) if os.geteuid() == 0 else ("--user", "--preserve-credentials", "--net")
"""Namespaces that the host enters: whoever is not root may only do it as the guest's owner."""


async def interfaces(guests: Guests, vmid: int) -> list[Interface]:
    """Return the interfaces of a running guest."""
    entering = [commands.program("nsenter"), f"--target={guests.init_pid(vmid)}", *ENTER]
    output = await commands.run([*entering, commands.program("ip"), "-j", "addr"])
    try:
        return [interface(entry) for entry in json.loads(output)]
    except ValueError as error:
        raise GuestError("the guest did not tell its addresses") from error


def interface(entry: Mapping[str, Any]) -> Interface:
    """Read one entry of what `ip -j addr` printed."""
    addresses = {
        address["family"]: f"{address['local']}/{address['prefixlen']}"
        for address in reversed(entry.get("addr_info", ()))
    }
    return Interface(
        name=entry["ifname"],
        hwaddr=entry.get("address", ""),
        inet=addresses.get("inet"),
        inet6=addresses.get("inet6"),
    )
