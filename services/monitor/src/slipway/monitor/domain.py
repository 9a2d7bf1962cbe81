"""What follows from what was seen: services of a guest, and whether facts have moved. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from slipway.contracts.clusters import NodeFacts, StorageFact
from slipway.contracts.containers import DiscoveredService
from slipway.monitor.discovery.probes.listener import Listener
from slipway.monitor.discovery.probes.processes import Process
from slipway.monitor.discovery.probes.units import Units

FREE_STEP = 0.01
"""Share of a storage by which its sizes must move to be told."""
TELL_AGAIN = timedelta(minutes=5)
"""Unchanged facts are told again after this, so that their age stays honest."""

_ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    "storages": ("storages", "os_templates"),
    "networks": ("bridges",),
    "appliances": ("appliances",),
}
"""Which facts come from which question."""

_SYSTEM = frozenset(
    [
        "agetty",
        "anacron",
        "atd",
        "auditd",
        "avahi-daemon",
        "chrony",
        "chronyd",
        "cron",
        "crond",
        "dbus",
        "dbus-broker",
        "dhclient",
        "dhcpcd",
        "init",
        "networking",
        "networkd-dispatcher",
        "NetworkManager",
        "nscd",
        "ntp",
        "ntpd",
        "ntpsec",
        "polkit",
        "postfix",
        "rpcbind",
        "rsyslog",
        "ssh",
        "sshd",
        "syslog",
        "udhcpc",
        "unattended-upgrades",
    ]
)
_SYSTEM_STARTS = ("systemd", "ssh@", "getty@", "console-getty", "container-getty", "user@", "postfix@")
_WEB_NAMES = ("nginx", "apache", "httpd", "caddy", "lighttpd", "traefik", "haproxy", "grafana", "gitea")
_WEB_PORTS = frozenset({80, 81, 3000, 5000, 8000, 8008, 8080, 8081, 8088, 8888, 9000, 9090})
_TLS_PORTS = frozenset({443, 8443, 9443})
_SCHEMES: Mapping[int, str] = {
    1883: "mqtt",
    3306: "mysql",
    5432: "postgresql",
    5672: "amqp",
    6379: "redis",
    27017: "mongodb",
}


def services(
    listeners: Iterable[Listener], units: Units, processes: Mapping[int, Process], addresses: Sequence[str]
) -> tuple[DiscoveredService, ...]:
    """Name what listens and what runs; what people look for comes first."""
    found: dict[tuple[str, str, int], DiscoveredService] = {}
    for listener in listeners:
        service = _listening(listener, units, processes, addresses)
        key = (service.name, service.protocol, listener.port)
        if key not in found or found[key].url is None:
            found[key] = service
    silent = set(units.names) - {service.name for service in found.values()}
    quiet = [DiscoveredService(name=name, is_system=_is_system(name)) for name in silent]
    return tuple(sorted((*found.values(), *quiet), key=_rank))


def has_moved(before: NodeFacts, after: NodeFacts) -> bool:
    """Whether facts are worth telling: more than a little free space has changed, or much time went by."""
    if after.observed_at - before.observed_at >= TELL_AGAIN:
        return True
    return _settled(before) != _settled(after) or any(
        _moved(old, new) for old, new in zip(before.storages, after.storages, strict=True)
    )


def with_last_known(seen: NodeFacts, known: NodeFacts | None, unanswered: Collection[str]) -> NodeFacts:
    """Give facts in which what was not answered now is as it was known last."""
    if known is None:
        return seen
    if not seen.is_online:
        fresh = {"is_online", "is_ssh_usable", "ssh_problem", "observed_at", "vmids"}
        return known.model_copy(update={name: getattr(seen, name) for name in fresh})
    stale = {name for question in unanswered for name in _ANSWERED_BY[question]}
    stale |= {name for name in ("tls_fingerprint", "cluster_identity") if getattr(seen, name) is None}
    return seen.model_copy(update={name: getattr(known, name) for name in stale})


def _settled(facts: NodeFacts) -> NodeFacts:
    """The facts without what always moves."""
    unsized = {"free_bytes": None, "total_bytes": None, "looked_at": None}
    storages = tuple(each.model_copy(update=unsized) for each in facts.storages)
    outage = facts.outage and facts.outage.model_copy(update={"message": "", "remedy": ""})
    unmoved = {"storages": storages, "outage": outage, "looked_at": None}
    return facts.model_copy(update={**unmoved, "observed_at": datetime.max})  # noqa: DTZ901  no time is meant


def _moved(old: StorageFact, new: StorageFact) -> bool:
    """Both sizes count: of a pooled storage the total follows the free space."""
    step = FREE_STEP * max(new.total_bytes or 0, 1)
    pairs = ((old.free_bytes, new.free_bytes), (old.total_bytes, new.total_bytes))
    return any(
        before != after and (before is None or after is None or abs(after - before) >= step)
        for before, after in pairs
    )


def _listening(
    listener: Listener, units: Units, processes: Mapping[int, Process], addresses: Sequence[str]
) -> DiscoveredService:
    process = processes.get(listener.pid or 0, Process())
    unit = _unit(listener.pid, process, units)
    name = unit or listener.process or process.name or f"{listener.protocol}-{listener.port}"
    return DiscoveredService(
        name=name,
        kind="systemd" if unit else "process",
        is_system=_is_system(name),
        port=listener.port,
        protocol=listener.protocol,
        url=_url(name, listener, addresses),
    )


def _unit(pid: int | None, process: Process, units: Units) -> str | None:
    """The unit of a process; a control group counts only if that unit runs in the guest."""
    if pid is not None and pid in units.main_pids:
        return units.main_pids[pid]
    if process.unit in units.names:
        return process.unit
    return process.name if process.name in units.names else None


def _url(name: str, listener: Listener, addresses: Sequence[str]) -> str | None:
    scheme = _scheme(name, listener)
    address = addresses[0] if listener.address == "*" and addresses else listener.address
    if scheme is None or not _is_reachable(address, addresses):
        return None
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{listener.port}" + ("/" if scheme.startswith("http") else "")


def _scheme(name: str, listener: Listener) -> str | None:
    if listener.protocol != "tcp" or _is_system(name):
        return None
    if listener.port in _TLS_PORTS:
        return "https"
    if known := _SCHEMES.get(listener.port):
        return known
    is_web = listener.port in _WEB_PORTS or name.lower().startswith(_WEB_NAMES)
    return "http" if is_web else None


def _is_reachable(address: str, addresses: Sequence[str]) -> bool:
    """Whether others may reach it: one of the guest's own addresses, or any that is not loopback."""
    try:
        return address in addresses or not ip_address(address).is_loopback
    except ValueError:
        return False


def _is_system(name: str) -> bool:
    return name in _SYSTEM or name.startswith(_SYSTEM_STARTS)


def _rank(service: DiscoveredService) -> tuple[bool, bool, bool, int, str]:
    return service.is_system, service.url is None, service.port is None, service.port or 0, service.name
