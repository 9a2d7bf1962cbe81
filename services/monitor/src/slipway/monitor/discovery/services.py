"""Name the services of a guest by what listens and what runs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from slipway.contracts.containers import DiscoveredService
from slipway.monitor.discovery.probes.listener import Listener
from slipway.monitor.discovery.probes.processes import Process
from slipway.monitor.discovery.probes.units import Units

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
    """Return the services that listen or run; those that people look for come first."""
    listening: dict[tuple[str, str, int], DiscoveredService] = {}
    for listener in listeners:
        service = _listening(listener, units, processes, addresses)
        key = (service.name, service.protocol, listener.port)
        if key not in listening or listening[key].url is None:
            listening[key] = service
    silent = set(units.names) - {service.name for service in listening.values()}
    quiet = [DiscoveredService(name=name, is_system=_is_system(name)) for name in silent]
    return tuple(sorted((*listening.values(), *quiet), key=_rank))


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
    """Return the unit of a process; a control group counts only if that unit runs in the guest."""
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
    """Return whether others can reach an address: one of the guest's own, or any that is not loopback."""
    try:
        return address in addresses or not ip_address(address).is_loopback
    except ValueError:
        return False


def _is_system(name: str) -> bool:
    return name in _SYSTEM or name.startswith(_SYSTEM_STARTS)


def _rank(service: DiscoveredService) -> tuple[bool, bool, bool, int, str]:
    return service.is_system, service.url is None, service.port is None, service.port or 0, service.name
