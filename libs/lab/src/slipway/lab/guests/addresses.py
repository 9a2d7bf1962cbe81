"""The interfaces inside a guest, by the guest's own `ip`. Both backends share this."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from slipway.lab.guests.protocol import GuestError, Guests, Interface

ASK_SECONDS = 10.0


async def interfaces(guests: Guests, vmid: int) -> list[Interface]:
    """Return the interfaces of a running guest."""
    process = await guests.execute(vmid, ["ip", "-j", "addr"])
    try:
        async with asyncio.timeout(ASK_SECONDS):
            output = b"".join([chunk async for chunk in process.stdout()])
            await process.wait()
        return [interface(entry) for entry in json.loads(output)]
    except (TimeoutError, ValueError) as error:
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
