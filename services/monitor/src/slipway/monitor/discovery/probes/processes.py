"""Processes: the name of each, and the unit of its control group."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^/proc/(?P<pid>\d+)/(?P<what>comm|cgroup):(?P<value>.*)$")
_UNIT = re.compile(r"/(?P<name>[^/]+)\.service(?=/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process."""

    name: str = ""
    unit: str | None = None
    """Without `.service`; of the innermost unit."""


COMMAND = "grep -sH . /proc/[0-9]*/comm /proc/[0-9]*/cgroup"
"""Print two small files of every process, each line after its path."""


def parse(output: str) -> Mapping[int, Process]:
    """Return the processes by id."""
    names: dict[int, str] = {}
    units: dict[int, str] = {}
    for match in filter(None, map(_LINE.match, output.splitlines())):
        pid = int(match["pid"])
        if match["what"] == "comm":
            names[pid] = match["value"]
        elif found := _UNIT.findall(match["value"]):
            units[pid] = found[-1]
    return {pid: Process(name=names.get(pid, ""), unit=units.get(pid)) for pid in names.keys() | units.keys()}
