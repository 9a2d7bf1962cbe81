"""Processes: the program that each runs, its session, and the unit of its control group.

A process' own name (`comm`) is the name of its first thread, which programs change, cut to 15 bytes; so the
executable and the command line count first. A command line may hold secrets: nothing of it is passed on but
the program's name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.monitor.discovery.program_names import program_name

_STAT = re.compile(r"^/proc/(?P<pid>\d+)/stat:\d+ \((?P<comm>.*)\) \S \d+ \d+ (?P<session>\d+) ")
_EXECUTABLE = re.compile(r"\s/proc/(?P<pid>\d+)/exe -> '?(?P<path>/.*?)(?: \(deleted\))?'?$")
_CGROUP = re.compile(r"^/proc/(?P<pid>\d+)/cgroup:.*/(?P<name>[^/]+)\.service(?=/|$)")
_OPENRC_CGROUP = re.compile(r"^/proc/(?P<pid>\d+)/cgroup:(?:0::/openrc\.|\d+:name=openrc:/)(?P<name>[^/]+)")
_FILE = re.compile(r"^==> /proc/(?P<pid>\d+)/cmdline <==$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process."""

    name: str = ""
    """Of its program."""
    unit: str | None = None
    """Of its control group, without `.service`; of the innermost unit."""
    session: int = 0
    """Its session (setsid(2)); 0 if its leader is outside of the guest."""
    executable: str = ""
    arguments: tuple[str, ...] = ()
    """Its command line, of which the first two kilobytes were read."""


COMMAND = (
    "grep -sH . /proc/[0-9]*/stat /proc/[0-9]*/cgroup; ls -l /proc/[0-9]*/exe;"
    " head -c 2048 /proc/[0-9]*/cmdline | tr '\\000' '\\n'"
)
"""Print of every process two small files, its executable, and its command line under a heading."""


def parse(output: str) -> Mapping[int, Process]:
    """Return the processes by id."""
    stats: dict[int, re.Match[str]] = {}
    executables: dict[int, str] = {}
    units: dict[int, str] = {}
    arguments: dict[int, list[str]] = {}
    current: list[str] | None = None
    for line in output.split("\n"):
        if match := _FILE.match(line):
            current = arguments.setdefault(int(match["pid"]), [])
        elif current is not None:
            current.append(line)
        elif match := _STAT.match(line):
            stats[int(match["pid"])] = match
        elif match := _EXECUTABLE.search(line):
            executables[int(match["pid"])] = match["path"]
        elif match := _CGROUP.match(line) or _OPENRC_CGROUP.match(line):
            units[int(match["pid"])] = match["name"]
    return {
        pid: _process(stat, executables.get(pid, ""), arguments.get(pid, ()), units.get(pid))
        for pid, stat in stats.items()
    }


def _process(stat: re.Match[str], executable: str, lines: Sequence[str], unit: str | None) -> Process:
    arguments = tuple(lines)
    while arguments and not arguments[-1]:
        arguments = arguments[:-1]
    return Process(
        name=program_name(stat["comm"], executable, arguments),
        unit=unit,
        session=int(stat["session"]),
        executable=executable,
        arguments=arguments,
    )
