"""Running services: systemd's running units with their main processes, or OpenRC's started ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_UNIT = re.compile(r"^(?P<name>[^\s=]+)\.service$")
_STARTED = re.compile(r"^\s*(?P<name>\S+)\s+\[\s*started\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The running services."""

    names: tuple[str, ...] = ()
    """Without `.service`."""
    main_pids: Mapping[int, str] = field(default_factory=dict)


COMMAND = (
    "if command -v systemctl >/dev/null; then"
    " running=$(timeout 4 systemctl list-units --type=service --state=running"
    ' --no-legend --plain --no-pager | while read -r unit rest; do printf "%s\\n" "$unit"; done);'
    ' printf "%s\\n" "$running";'
    ' [ -z "$running" ] || timeout 4 systemctl show -p Id -p MainPID --no-pager $running;'
    " elif command -v rc-status >/dev/null; then rc-status -a -C; fi"
)
"""List names, then `Id=` and `MainPID=` of each; a manager that hangs costs four seconds a question."""


def parse(output: str) -> Units:
    """Parse names and main processes; other lines are skipped."""
    names: dict[str, None] = {}
    main_pids: dict[int, str] = {}
    properties: dict[str, str] = {}
    for line in output.splitlines():
        if match := _UNIT.match(line) or _STARTED.match(line):
            names[match["name"]] = None
        key, equals, value = line.partition("=")
        if equals and key in {"Id", "MainPID"}:
            properties[key] = value
        if len(properties) == 2:  # noqa: PLR2004  systemd writes the two in an order of its own
            if properties["MainPID"].isdigit() and int(properties["MainPID"]) > 0:
                main_pids[int(properties["MainPID"])] = properties["Id"].removesuffix(".service")
            properties = {}
    return Units(names=tuple(names), main_pids=main_pids)
