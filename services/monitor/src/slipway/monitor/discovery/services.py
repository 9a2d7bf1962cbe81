"""Name the services of a guest by what listens and what runs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from slipway.contracts.containers import DiscoveredService
from slipway.monitor.discovery.probes.listener import SYSTEMD, Listener
from slipway.monitor.discovery.probes.processes import Process
from slipway.monitor.discovery.probes.units import Units

_SYSTEM = frozenset(
    [
        "acpid",
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
        "dropbear",
        "elogind",
        "init",
        "klogd",
        "mdev",
        "networkd-dispatcher",
        "networking",
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
        "udev",
        "udhcpc",
        "unattended-upgrades",
        "watchdog",
    ]
)
_SYSTEM_STARTS = (
    "systemd",
    "ssh@",
    "sshd-",
    "getty@",
    "console-getty",
    "container-getty",
    "user@",
    "postfix@",
)
_STARTS_OTHERS = ("ssh", "dropbear", "cron", "atd", "anacron", "getty@", "console-getty", "container-getty")
"""Services that run what people log in for, or have scheduled."""
_BOOT_SCRIPTS = frozenset({"local", "rc-local"})
"""Services that have no process of their own: they run what people want started at boot."""
_WEB_NAMES = ("nginx", "apache", "httpd", "caddy", "lighttpd", "traefik", "haproxy", "grafana", "gitea")
_WEB_PORTS = frozenset({80, 81, 3000, 5000, 8000, 8008, 8080, 8081, 8088, 8888, 9000, 9090})
_EVERY: Mapping[str, Sequence[int]] = {"*": (4, 6), "0.0.0.0": (4,), "::": (6,)}  # noqa: S104  read, not bound
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
    """Return the services that listen or run; those that people look for come first.

    Args:
        listeners: The listening sockets.
        units: What the service manager runs.
        processes: By process id.
        addresses: The guest's own that others could reach, the most likely one first.
    """
    listening: dict[tuple[str, str, int], DiscoveredService] = {}
    for listener in listeners:
        service = _listening(listener, units, processes, addresses)
        key = (service.name, service.protocol, listener.port)
        if key not in listening or listening[key].url is None:
            listening[key] = service
    quiet = [
        DiscoveredService(name=name, kind=units.kind, is_system=_is_system(name) or name in units.steps)
        for name in set(units.names) - {service.name for service in listening.values()}
    ]
    return tuple(sorted((*listening.values(), *quiet), key=_rank))


def _listening(
    listener: Listener, units: Units, processes: Mapping[int, Process], addresses: Sequence[str]
) -> DiscoveredService:
    process = processes.get(listener.pid or 0, Process())
    unit = _unit(listener, units, processes)
    name = unit or process.name or listener.process or f"{listener.protocol}-{listener.port}"
    return DiscoveredService(
        name=name,
        kind=units.kind if unit else "process",
        is_system=_is_system(name),
        port=listener.port,
        protocol=listener.protocol,
        url=_url(name, listener, addresses),
    )


def _unit(listener: Listener, units: Units, processes: Mapping[int, Process]) -> str | None:
    """Return the unit that a socket belongs to."""
    pid, process = listener.pid or 0, processes.get(listener.pid or 0, Process())
    if pid in units.main_pids and units.main_pids[pid] not in _BOOT_SCRIPTS:
        return units.main_pids[pid]
    if pid == SYSTEMD:
        return next((each.unit for each in units.sockets if each.is_of(listener)), None)
    mains = {processes[main].session: name for main, name in units.main_pids.items() if main in processes}
    # A control group counts only if that unit runs in the guest; init's session, and one from outside, never.
    unit = process.unit if process.unit in units.names else units.of_command(process.arguments)
    if unit is None and process.session > SYSTEMD:
        unit = mains.get(process.session)
    if unit is not None and not _is_foreign(process, unit, units, processes):
        return unit
    return process.name if process.name in units.names else None


def _is_foreign(process: Process, unit: str, units: Units, processes: Mapping[int, Process]) -> bool:
    """Return whether a process is no part of the unit that it was started by."""
    if unit in _BOOT_SCRIPTS:
        return True
    mains = [
        processes[pid].name for pid, name in units.main_pids.items() if name == unit and pid in processes
    ]
    return unit.startswith(_STARTS_OTHERS) and bool(mains) and process.name not in mains


def _url(name: str, listener: Listener, addresses: Sequence[str]) -> str | None:
    scheme, address = _scheme(name, listener), _reachable(listener.address, addresses)
    if scheme is None or address is None:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{listener.port}" + ("/" if scheme.startswith("http") else "")


def _reachable(bound: str, addresses: Sequence[str]) -> str | None:
    """Return at which of the guest's addresses others reach a socket."""
    versions = _EVERY.get(bound)
    if versions is None:
        return bound if bound in addresses else None
    return next((each for each in addresses if ip_address(each).version in versions), None)


def _scheme(name: str, listener: Listener) -> str | None:
    if listener.protocol != "tcp" or _is_system(name):
        return None
    if listener.port in _TLS_PORTS:
        return "https"
    if known := _SCHEMES.get(listener.port):
        return known
    is_web = listener.port in _WEB_PORTS or name.lower().startswith(_WEB_NAMES)
    return "http" if is_web else None


def _is_system(name: str) -> bool:
    return name in _SYSTEM | _BOOT_SCRIPTS or name.startswith(_SYSTEM_STARTS)


def _rank(service: DiscoveredService) -> tuple[bool, bool, bool, int, str]:
    return service.is_system, service.url is None, service.port is None, service.port or 0, service.name
