"""LXC's configuration of one guest, written from its spec. Pure: facts about the host are arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.lab.guests.protocol import GuestError, GuestSpec, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the configuration depends on beside the spec."""

    architecture: str
    """As `uname -m` says."""
    processors: int
    first_id: int
    """First of root's subordinate ids."""
    has_apparmor: bool
    has_swap_limit: bool
    """Whether cgroup v1 counts swap here."""


def write(
    spec: GuestSpec,
    host: Host,
    *,
    root: str,
    bridges: Mapping[str, str],
    addresses: Sequence[tuple[str | None, str | None]],
) -> str:
    """Write the file; `bridges` gives kernel names, `addresses` per network IPv4 with prefix, and gateway."""
    lines = ["lxc.include = /usr/share/lxc/config/common.conf"]
    if spec.unprivileged:
        lines.append("lxc.include = /usr/share/lxc/config/userns.conf")
        lines += [f"lxc.idmap = {kind} 0 {host.first_id} 65536" for kind in ("u", "g")]
    lines += [
        f"lxc.arch = {host.architecture}",
        f"lxc.uts.name = {spec.hostname}",
        f"lxc.rootfs.path = dir:{root}",
    ]
    lines += _confinement(host)
    lines += _limits(spec, host)
    for number, (network, (inet, gateway)) in enumerate(zip(spec.networks, addresses, strict=True)):
        lines += _network(number, network, bridges, inet, gateway)
    lines += [f"lxc.environment = {name}={value}" for name, value in spec.environment.items()]
    if any("\n" in line for line in lines):
        raise GuestError("a value of the configuration has a line break")
    return "\n".join(lines) + "\n"


def _confinement(host: Host) -> list[str]:
    if host.has_apparmor:
        return ["lxc.apparmor.profile = generated", "lxc.apparmor.allow_nesting = 1"]
    return ["lxc.apparmor.profile = unconfined"]


def _limits(spec: GuestSpec, host: Host) -> list[str]:
    """Write every limit for both versions of control groups: LXC ignores the other's with a warning."""
    memory_bytes, swap_bytes = spec.memory_mib << 20, spec.swap_mib << 20
    lines: list[str] = []
    if memory_bytes:
        lines += [
            f"lxc.cgroup.memory.limit_in_bytes = {memory_bytes}",
            f"lxc.cgroup2.memory.max = {memory_bytes}",
            f"lxc.cgroup2.memory.swap.max = {swap_bytes}",
        ]
        if host.has_swap_limit:
            lines.append(f"lxc.cgroup.memory.memsw.limit_in_bytes = {memory_bytes + swap_bytes}")
    if 0 < spec.cores < host.processors:
        chosen = ",".join(str((spec.vmid + core) % host.processors) for core in range(spec.cores))
        lines += [f"lxc.cgroup.cpuset.cpus = {chosen}", f"lxc.cgroup2.cpuset.cpus = {chosen}"]
    return lines


def _network(
    number: int, network: Network, bridges: Mapping[str, str], inet: str | None, gateway: str | None
) -> list[str]:
    key = f"lxc.net.{number}"
    if network.bridge not in bridges:
        raise GuestError(f"bridge '{network.bridge}' does not exist")
    lines = [
        f"{key}.type = veth",
        f"{key}.link = {bridges[network.bridge]}",
        f"{key}.flags = up",
        f"{key}.name = {network.name}",
        f"{key}.hwaddr = {network.hwaddr}",
    ]
    if network.mtu:
        lines.append(f"{key}.mtu = {network.mtu}")
    if inet:
        lines.append(f"{key}.ipv4.address = {inet}")
    if inet and gateway:
        lines.append(f"{key}.ipv4.gateway = {gateway}")
    if network.ip6 and "/" in network.ip6:
        lines.append(f"{key}.ipv6.address = {network.ip6}")
    return lines
