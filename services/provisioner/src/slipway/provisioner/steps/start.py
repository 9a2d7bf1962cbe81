"""Phase start: the container runs, has its address, and reaches its package mirror."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from slipway.contracts.container_specs import NetworkSpec
from slipway.contracts.problems import Failed
from slipway.contracts.values import STILL_STARTING, WITHOUT_ADDRESS
from slipway.provisioner.engine.step import DONE, Result
from slipway.provisioner.host import boot, ha, tasks
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import AlreadyRunning
from slipway.runtime.retry import Deadline

START_DEADLINE = timedelta(minutes=5)
SAID_AFTER = timedelta(seconds=10)
"""A boot that takes longer is said, with what it waits for."""
OTHERS_WAIT = timedelta(seconds=15)
"""For other addresses once the first is there: a router is asked three times, 4 s apart (RFC 4861, 10)."""
MIRROR_PAUSES = (3.0, 10.0)
"""Seconds before a package mirror that does not answer is asked again."""
SETTING = "SLIPWAY_BOOT_WAIT"
_PAUSE_SECONDS = 0.3
_CAUSES = {
    (4, "dhcp"): "no DHCP server answers on {link}",
    (6, "dhcp"): "no DHCPv6 server answers on {link}",
    (6, "auto"): "no router advertises a prefix on {link}",
}
Addresses = Mapping[str, Sequence[IPv4Address | IPv6Address]]
"""The addresses in a guest by interface, link-local ones left out."""


class Expected(NamedTuple):
    """An address that a device should have."""

    device: str
    network: NetworkSpec
    ip: str
    """`dhcp`, `auto`, or the address itself."""
    version: int

    def is_among(self, addresses: Addresses) -> bool:
        """Return whether the device has an address of that kind."""
        return any(each.version == self.version for each in addresses.get(str(self.network.name), ()))

    @property
    def why_missing(self) -> str:
        """What is missing, and why as far as that can be known."""
        tag = f" (VLAN {self.network.tag})" if self.network.tag else ""
        cause = _CAUSES.get((self.version, self.ip), "the guest did not set it; is its device up on {link}?")
        link = f"{self.network.bridge}{tag}"
        return f"{self.device} has no IPv{self.version} address ({self.ip}): {cause.format(link=link)}"


class GuestNotReady(Failed):
    """The guest does not come up."""

    code = "guest.not-ready"


class GuestWithoutNetwork(Failed):
    """The guest can't reach what the next phases need."""

    code = "guest.without-network"


async def start(work: Work) -> Result:
    """Start the container, unless it runs."""
    api, target = work.cluster.api, work.target
    if await work.is_running():
        return Result(message="it runs already")
    try:
        await tasks.run(work, "vzstart", lambda: api.start(target.node, target.vmid), deadline=START_DEADLINE)
        await ha.until_power(work, Power.RUNNING)
    except AlreadyRunning:
        return Result(message="it runs already")
    return DONE


async def address(work: Work) -> Result:
    """Wait for the addresses that devices should have; if one works, others become warnings.

    The first device's (IPv4 before IPv6) is waited for as long as a boot may take, others shortly after it.
    """
    expected = expected_addresses(work.spec.networks)
    deadline, others = Deadline(work.boot_wait.total_seconds()), None
    while True:
        addresses = await _addresses(work)
        missing = [each for each in expected if not each.is_among(addresses)]
        if not missing:
            return Result(message=_listed(addresses))
        if others is None and expected[0] not in missing:
            others = Deadline(min(OTHERS_WAIT, work.boot_wait).total_seconds())
        if deadline.has_passed or (others is not None and others.has_passed):
            break
        await asyncio.sleep(_PAUSE_SECONDS)
    if not any(addresses.values()):
        raise _without_address(missing, addresses, work.boot_wait)
    warnings = [f"{WITHOUT_ADDRESS}: {each.why_missing}" for each in missing]
    work.warn(*warnings)
    return Result(message="; ".join((_listed(addresses), *warnings)))


async def ready(work: Work) -> Result:
    """Wait until its boot is done, and reach its package mirror if it needs one.

    A boot that takes longer than it may is a warning, as long as the network works.
    """
    deadline = Deadline(work.boot_wait.total_seconds())
    seen = await boot.look(work, min(SAID_AFTER, work.boot_wait))
    if seen.init in boot.BOOTING:
        await work.journal.report(f"The guest still boots: {_awaited(seen)}.")
    if seen.init not in boot.DONE:
        left = timedelta(seconds=deadline.left_seconds)
        seen = await boot.look(work, left, is_last=True)
    for pause in MIRROR_PAUSES if seen.has_no_mirror else ():
        await work.journal.report(f"The package mirror does not answer; tried again in {pause:.0f} s.")
        await asyncio.sleep(pause)
        seen = await boot.look(work, timedelta(0), is_last=True)
        if not seen.has_no_mirror:
            break
    if seen.init not in boot.DONE | boot.BOOTING:
        raise _not_ready(work, seen)
    if seen.has_no_mirror:
        raise _without_network(work, seen)
    if seen.init in boot.DONE:
        return Result(message=f"init is {seen.init}")
    warning = f"{STILL_STARTING}: {_awaited(seen)}"
    work.warn(warning)
    return Result(message=warning)


def expected_addresses(networks: Sequence[NetworkSpec]) -> Sequence[Expected]:
    """Return the addresses that devices should have, in the order of their importance. Pure."""
    return [
        Expected(f"net{index}", network, ip, version)
        for index, network in enumerate(networks)
        if not network.link_down
        for version, ip in ((4, network.ip), (6, network.ip6))
        if ip is not None and ip != "manual"
    ]


async def _addresses(work: Work) -> Addresses:
    interfaces = await work.cluster.api.interfaces(work.target.node, work.target.vmid)
    return {
        each.name: [at.ip for at in each.addresses if not at.ip.is_link_local]
        for each in interfaces
        if each.name != "lo"
    }


def _listed(addresses: Addresses) -> str:
    return ", ".join(sorted({str(each) for some in addresses.values() for each in some}))


def _without_address(
    missing: Sequence[Expected], addresses: Addresses, wait: timedelta
) -> GuestWithoutNetwork:
    listed = [f"{name} {', '.join(map(str, some)) or 'none'}" for name, some in addresses.items()]
    return GuestWithoutNetwork(
        f"The guest has no address after {wait.total_seconds():.0f} s: "
        f"{'; '.join(each.why_missing for each in missing)}; seen: {'; '.join(listed) or 'no interface'}. "
        f"If it only takes longer, raise {SETTING}."
    )


def _not_ready(work: Work, seen: boot.Boot) -> GuestNotReady:
    what = f"boot has failed: its init is {seen.init}" if seen.init else "init does not answer"
    return GuestNotReady(
        f"The guest's {what}. Look into it with `pct console {work.target.vmid}` on {work.target.node}.",
    )


def _awaited(seen: boot.Boot) -> str:
    return ", ".join(seen.awaits) or "its init does not say what it waits for"


def _without_network(work: Work, seen: boot.Boot) -> GuestWithoutNetwork:
    lines = seen.network
    tried = (
        f"default route: {lines.get('route') or 'none'}",
        f"DNS for {lines.get('mirror_host')}: {lines.get('dns') or 'no answer'}",
        f"package mirror {lines.get('mirror_host')}: no answer",
    )
    guest = work.spec.guest
    proxy = (guest.apt_cache or guest.http_proxy) if guest is not None else None
    also = f", and whether the proxy {proxy} answers it" if proxy else ""
    return GuestWithoutNetwork(
        f"The guest can't reach its package mirror. Tried: {'; '.join(tried)}. "
        f"Check gateway, nameserver and firewall of the container{also}.",
        mirror=lines.get("mirror_host"),
    )
