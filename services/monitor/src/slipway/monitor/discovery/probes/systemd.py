"""Systemd's running services with their main processes, and the sockets that start services."""

import re
import shlex
from collections.abc import Iterator, Mapping

from slipway.monitor.discovery.probes.listener import bare
from slipway.monitor.discovery.probes.units import Units, UnitSocket

_UNIT = re.compile(r"^(?P<name>[^\s=]+)\.service$")
_LISTEN = re.compile(r"^(?P<address>.*):(?P<port>\d+) \((?P<type>Stream|Datagram)\)$")
_PROTOCOLS = {"Stream": "tcp", "Datagram": "udp"}


COMMAND = (
    "if command -v systemctl >/dev/null; then"
    " running=$(timeout 4 systemctl list-units --type=service --state=running"
    ' --no-legend --plain --no-pager | while read -r unit rest; do printf "%s\\n" "$unit"; done);'
    ' printf "%s\\n\\n" "$running";'
    ' [ -z "$running" ] || timeout 4 systemctl show -p Id -p MainPID -p Listen -p Triggers --no-pager'
    " $running '*.socket'; fi"
)
"""List names, then a paragraph for each service and socket; a systemd that hangs costs four seconds."""


def parse(output: str) -> Units:
    """Parse names and paragraphs; other lines are skipped."""
    names = tuple(match["name"] for match in map(_UNIT.match, output.splitlines()) if match)
    main_pids: dict[int, str] = {}
    sockets: list[UnitSocket] = []
    for paragraph in output.split("\n\n"):
        properties = _properties(paragraph)
        (identity,) = properties.get("Id", [""])[:1]
        if identity.endswith(".socket"):
            sockets += _sockets(identity, properties)
        elif (pid := properties.get("MainPID", ["0"])[0]).isdigit() and int(pid) > 0:
            main_pids[int(pid)] = identity.removesuffix(".service")
    return Units(names=tuple(dict.fromkeys(names)), main_pids=main_pids, sockets=tuple(sockets))


def _properties(paragraph: str) -> Mapping[str, list[str]]:
    """Return the values by name; one that has several stands on several lines."""
    values: dict[str, list[str]] = {}
    for line in paragraph.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            values.setdefault(name, []).append(value)
    return values


def _sockets(identity: str, properties: Mapping[str, list[str]]) -> Iterator[UnitSocket]:
    triggered = _first_name(properties.get("Triggers", [""])[0]).removesuffix(".service")
    # With Accept=yes each connection has a service of its own, `name@...`.
    unit = identity.removesuffix(".socket") if "@" in triggered or not triggered else triggered
    for match in filter(None, map(_LISTEN.match, properties.get("Listen", []))):
        yield UnitSocket(
            protocol=_PROTOCOLS[match["type"]],
            address=bare(match["address"]),
            port=int(match["port"]),
            unit=unit,
        )


def _first_name(listed: str) -> str:
    """Return the first of some names; one with a backslash is quoted there as for a shell."""
    try:
        return next(iter(shlex.split(listed)), "")
    except ValueError:  # cut within quotes
        return ""
