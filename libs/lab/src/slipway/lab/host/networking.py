"""What becomes of a running guest's addresses when its networks change, and of those that can't work.

Theory of operation (PVE::LXC, `update_net`). A device whose name or hardware address changes is taken out and
put in anew: only a static address comes with it, for nobody asks for a lease. A changed static address
replaces the old one; `dhcp` and `manual` only take the old one away. A gateway outside of the device's
network gets a route of its own first. A guest with two IPv4 gateways starts,
and its `ifup` never ends: none of its devices gets an address. A device that the guest did not begin with
is only stored, and appears at the next start. Changes are made by the guest's own `ip`, like those of a node.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from ipaddress import ip_address, ip_interface

from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import options
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine

SECONDS = 10.0
Device = Mapping[str, str]


async def started(machine: Machine, vmid: int, config: Config) -> None:
    """Take the addresses of a guest that has just started with two gateways."""
    devices = options.networks(config).values()
    if sum("gw" in device for device in devices) > 1:
        for device in devices:
            await _ip(machine, vmid, "-4", "addr", "flush", "dev", device["name"])


async def changed(machine: Machine, vmid: int, before: Config, after: Config) -> None:
    """Follow a change of a running guest's networks."""
    old, new = options.networks(before), options.networks(after)
    for key, was in old.items():
        if (now := new.get(key)) != was:
            await _change(machine, vmid, was, now)


async def _change(machine: Machine, vmid: int, was: Device, now: Device | None) -> None:
    name = was["name"]
    is_new_device = now is None or any(was.get(key) != now.get(key) for key in ("name", "hwaddr"))
    if is_new_device:
        await _ip(machine, vmid, "addr", "flush", "dev", name)
    elif now is not None and was.get("ip") != now.get("ip") and _is_address(was.get("ip")):
        await _ip(machine, vmid, "addr", "del", was["ip"], "dev", name)
    if now is None:
        return
    if _is_address(now.get("ip")) and (is_new_device or was.get("ip") != now.get("ip")):
        await _ip(machine, vmid, "addr", "add", now["ip"], "dev", name)
    if "gw" in now and (is_new_device or was.get("gw") != now["gw"]):
        if _is_address(now.get("ip")) and ip_address(now["gw"]) not in ip_interface(now["ip"]).network:
            await _ip(machine, vmid, "route", "add", now["gw"], "dev", name)
        await _ip(machine, vmid, "route", "replace", "default", "via", now["gw"], "dev", name)


def _is_address(ip: str | None) -> bool:
    return ip is not None and "/" in ip


async def _ip(machine: Machine, vmid: int, *words: str) -> None:
    """Run it, and let it fail: a device may not be there."""
    with contextlib.suppress(GuestError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            process = await machine.guests.execute(vmid, ["ip", *words])
            async for _ in process.stderr():
                pass
            await process.wait()
