"""The lab's private network: one bridge, NAT by nftables, addresses for guests that ask for one.

A guest with `ip=dhcp` gets its address from the lab before its init starts: a lease without the protocol,
because a real DHCP exchange takes three seconds and a daemon. Guests see the host's own name servers.
"""

import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.lxc.place import Place
from slipway.lab.guests.protocol import GuestError

FIRST_LEASE = 50
"""Lower addresses are for those who choose one."""
RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
"""The first that exists and names a server that is not this machine's loopback."""


async def up(place: Place) -> ipaddress.IPv4Network:
    """Make bridge and NAT, and give the subnet. What was there before under these names is replaced."""
    await down(place)
    subnet = await _subnet(place)
    gateway = f"{subnet[1]}/{subnet.prefixlen}"
    await commands.run(["ip", "link", "add", place.bridge, "type", "bridge"])
    await commands.run(["ip", "addr", "add", gateway, "dev", place.bridge])
    await commands.run(["ip", "link", "set", place.bridge, "up"])
    rule = f'ip saddr {subnet} oifname != "{place.bridge}" masquerade'
    table = (
        f"table ip {place.table} {{ chain out {{ type nat hook postrouting priority srcnat; {rule}; }}; }}\n"
    )
    await commands.run(["nft", "-f", "-"], stdin=table.encode())
    if await _forwarding_is_closed():
        for rule_words in _forward_rules(place):
            await commands.run(["iptables", "-w", "-I", "FORWARD", *rule_words])
    return subnet


async def down(place: Place) -> None:
    """Remove what `up` made; nothing to do if it is not there."""
    await commands.attempt(["nft", "delete", "table", "ip", place.table])
    await commands.attempt(["ip", "link", "delete", place.bridge])
    if await _forwarding_is_closed():
        for rule_words in _forward_rules(place):
            await commands.attempt(["iptables", "-w", "-D", "FORWARD", *rule_words])


def lease(subnet: ipaddress.IPv4Network, taken: Iterable[str]) -> str:
    """Choose a free address, with its prefix length."""
    used = {address.partition("/")[0] for address in taken}
    for number in range(FIRST_LEASE, subnet.num_addresses - 1):
        if str(subnet[number]) not in used:
            return f"{subnet[number]}/{subnet.prefixlen}"
    raise GuestError(f"no address is left in {subnet}")


def resolvers() -> str:
    """Text of the host's resolver file, as far as a guest can use it."""
    for path in RESOLVERS:
        text = path.read_text() if path.exists() else ""
        servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
        if servers and not servers[0].startswith("127."):
            return text
    return ""


async def _subnet(place: Place) -> ipaddress.IPv4Network:
    """Keep the subnet of earlier times, so that static addresses stay right, unless the host now uses it."""
    path = place.guests / "subnet"
    routes = json.loads(await commands.run(["ip", "-j", "-4", "route", "show", "table", "all"]))
    used = [ipaddress.IPv4Network(route["dst"]) for route in routes if route["dst"][0].isdigit()]
    earlier = [ipaddress.IPv4Network(path.read_text().strip())] if path.exists() else []
    for subnet in [*earlier, *place.subnets()]:
        if not any(subnet.overlaps(other) for other in used if other.prefixlen > 0):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{subnet}\n")
            return subnet
    raise GuestError("this machine has routes to every subnet that the lab could use")


async def _forwarding_is_closed() -> bool:
    """Return whether iptables refuses to forward by default, as a container engine makes it do."""
    try:
        return "-P FORWARD DROP" in await commands.run(["iptables", "-w", "-S", "FORWARD"])
    except (GuestError, FileNotFoundError):
        return False


def _forward_rules(place: Place) -> tuple[list[str], list[str]]:
    return ["-i", place.bridge, "-j", "ACCEPT"], ["-o", place.bridge, "-j", "ACCEPT"]
