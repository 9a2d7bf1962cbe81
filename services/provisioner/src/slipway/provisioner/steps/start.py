"""Phase start: the container runs, has its address, and reaches its package mirror."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address

from slipway.contracts.container_specs import NetworkSpec
from slipway.contracts.problems import Failed
from slipway.provisioner.engine.step import DONE, Result
from slipway.provisioner.host import ha, packages, tasks
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import AlreadyRunning
from slipway.runtime.retry import Deadline

START_DEADLINE = timedelta(minutes=5)
ADDRESS_SECONDS = 60.0
READY_SECONDS = 90
MIRROR_PAUSES = (3.0, 10.0)
"""Seconds before a package mirror that does not answer is asked again."""
_PAUSE_SECONDS = 0.3
Addresses = Mapping[str, Sequence[IPv4Address | IPv6Address]]
"""The addresses in a guest by interface, link-local ones left out."""
Missing = tuple[str, str | None, str, int]
"""A device, its bridge, the address that it should have (`dhcp`, `10.0.0.5/24`), and the IP version."""

_READY = """
ends=$(($(date +%s) + $1))
state=none
while :; do
    if command -v systemctl >/dev/null 2>&1; then
        state=$(systemctl is-system-running 2>/dev/null) || :
    elif [ -d /run ]; then
        state=running
    fi
    case $state in running | degraded) break ;; esac
    [ "$(date +%s)" -lt "$ends" ] || break
    sleep 0.2
done
printf 'init=%s\\n' "$state"
"""
_NETWORK = """
printf 'route=%s\\n' "$(ip route show default 2>/dev/null | head -n 1)"
uri=$(apt-get update --print-uris 2>/dev/null | sed -n "s/^'\\([^']*\\)' .*InRelease.*/\\1/p" | head -n 1)
helper=/usr/lib/apt/apt-helper
if [ -n "$uri" ] && [ -x "$helper" ]; then
    host=$(printf '%s' "$uri" | sed 's,^[a-z+]*://\\([^/:]*\\).*,\\1,')
    printf 'mirror_host=%s\\n' "$host"
    export RES_OPTIONS='timeout:3 attempts:2'
    printf 'dns=%s\\n' "$(getent hosts "$host" | head -n 1)"
    file=$(mktemp)
    set -- -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15
    if timeout 45 "$helper" "$@" download-file "$uri" "$file" >/dev/null 2>&1; then
        printf 'mirror=reached\\n'
    else
        printf 'mirror=unreachable\\n'
    fi
    rm -f "$file"
fi
"""


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
    """Wait for an address of each family that a device expects."""
    deadline = Deadline(ADDRESS_SECONDS)
    while True:
        addresses = await _addresses(work)
        missing = without_address(work.spec.networks, addresses)
        if not missing:
            return Result(
                message=", ".join(sorted({str(each) for some in addresses.values() for each in some}))
            )
        if deadline.has_passed:
            raise _without_address(missing, addresses)
        await asyncio.sleep(_PAUSE_SECONDS)


async def ready(work: Work) -> Result:
    """Wait until its init is done, and make sure that it reaches its package mirror if it needs one."""
    lines = await _look_inside(work)
    for pause in MIRROR_PAUSES if lines.get("mirror") == "unreachable" else ():
        await work.journal.report(f"The package mirror does not answer; tried again in {pause:.0f} s.")
        await asyncio.sleep(pause)
        lines = await _look_inside(work)
        if lines.get("mirror") != "unreachable":
            break
    init = lines.get("init")
    if init not in {"running", "degraded"}:
        raise GuestNotReady(
            f"The guest's init is still {init or 'silent'} after {READY_SECONDS} s; look into it "
            f"with `pct console {work.target.vmid}` on {work.target.node}.",
        )
    if lines.get("mirror") == "unreachable":
        raise _without_network(lines)
    return Result(message=f"init is {init}")


async def _look_inside(work: Work) -> Mapping[str, str]:
    script = _READY + (_NETWORK if packages.by_manager(work) else "")
    done = await work.pct.script(
        work.target.vmid, script, (str(READY_SECONDS),), timeout=timedelta(seconds=READY_SECONDS + 60)
    )
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


def without_address(networks: Sequence[NetworkSpec], addresses: Addresses) -> Sequence[Missing]:
    """Return the addresses that devices should have and don't. Pure."""
    return [
        (f"net{index}", network.bridge, ip, version)
        for index, network in enumerate(networks)
        if not network.link_down
        for version, ip in ((4, network.ip), (6, network.ip6))
        if ip is not None and ip != "manual"
        if all(each.version != version for each in addresses.get(str(network.name), ()))
    ]


async def _addresses(work: Work) -> Addresses:
    interfaces = await work.cluster.api.interfaces(work.target.node, work.target.vmid)
    return {
        each.name: [at.ip for at in each.addresses if not at.ip.is_link_local]
        for each in interfaces
        if each.name != "lo"
    }


def _without_address(missing: Sequence[Missing], addresses: Addresses) -> GuestWithoutNetwork:
    missing_text = "; ".join(
        f"{device} on {bridge} wants {ip} for IPv{version}" for device, bridge, ip, version in missing
    )
    is_dynamic = any(ip in {"dhcp", "auto"} for _, _, ip, _ in missing)
    hint = "does a DHCP server answer on that bridge (and VLAN)?" if is_dynamic else "is the bridge up?"
    listed = [f"{name} {', '.join(map(str, some)) or 'none'}" for name, some in addresses.items()]
    seen = "; ".join(listed) or "no interface"
    return GuestWithoutNetwork(
        f"No address after {ADDRESS_SECONDS:.0f} s: {missing_text}; seen: {seen}. Check: {hint}"
    )


def _without_network(lines: Mapping[str, str]) -> GuestWithoutNetwork:
    tried = (
        f"default route: {lines.get('route') or 'none'}",
        f"DNS for {lines.get('mirror_host')}: {lines.get('dns') or 'no answer'}",
        f"package mirror {lines.get('mirror_host')}: no answer",
    )
    return GuestWithoutNetwork(
        f"The guest can't reach its package mirror. Tried: {'; '.join(tried)}. "
        "Check gateway, nameserver and firewall of the container.",
        mirror=lines.get("mirror_host"),
    )
