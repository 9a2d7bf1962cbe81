"""OpenRC's started services, and their processes.

OpenRC keeps no list of processes. What start-stop-daemon started for a service is described in
`daemons/SERVICE/NNN` (command line, file with the process id); what supervise-daemon runs is in
`options/SERVICE/child_pid`; what a service's script started by itself has the service's name in its
environment, of which only that is printed (OpenRC 0.63, observed).
"""

import re

from slipway.monitor.discovery.probes.units import Units

FOLDER = "/run/openrc"
_STARTED = re.compile(r"^\s*(?P<name>\S+)\s+\[\s*started\b")
_DAEMON = re.compile(r"^(?P<file>.*/daemons/(?P<name>[^/]+)/\d+):(?P<key>\w+)=(?P<value>.*)$")
_CHILD = re.compile(r"^.*/options/(?P<name>[^/]+)/child_pid:(?P<pid>\d+)$")
_ENVIRONMENT = re.compile(r"^==> /proc/(?P<pid>\d+)/environ <==$")
_NAME = "RC_SVCNAME="


COMMAND = (
    f"if command -v rc-status >/dev/null; then rc-status -a -C; for file in {FOLDER}/daemons/*/*; do"
    ' [ -f "$file" ] && while IFS= read -r line; do printf "%s:%s\\n" "$file" "$line";'
    ' path="${line#pidfile=}";'
    ' [ "$path" != "$line" ] && [ -f "$path" ] && pid= && { read -r pid rest <"$path";'
    ' printf "%s:pid=%s\\n" "$file" "$pid"; };'
    f' done <"$file"; done; grep -sH . {FOLDER}/options/*/child_pid;'
    f" head -c 16384 /proc/[0-9]*/environ | tr '\\000' '\\n' | grep -E '^==> |^{_NAME}'; fi"
)
"""List services, then files about their processes, each line after its path."""


def parse(output: str) -> Units:
    """Parse names and processes; other lines are skipped."""
    names: dict[str, None] = {}
    pids: dict[int, str] = {}
    daemons: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    current = 0
    for line in output.splitlines():
        if match := _STARTED.match(line):
            names[match["name"]] = None
        elif match := _DAEMON.match(line):
            owners[match["file"]] = match["name"]
            if match["key"] == "pid" and match["value"].isdigit():
                pids[int(match["value"])] = match["name"]
            elif match["key"].startswith("argv_"):
                daemons.setdefault(match["file"], []).append(match["value"])
        elif match := _CHILD.match(line):
            pids[int(match["pid"])] = match["name"]
        elif match := _ENVIRONMENT.match(line):
            current = int(match["pid"])
        elif line.startswith(_NAME) and current:
            pids.setdefault(current, line.removeprefix(_NAME))
    return Units(
        kind="openrc",
        names=tuple(names),
        main_pids=pids,
        commands={tuple(words): owners[file] for file, words in daemons.items()},
        steps=frozenset(names) - frozenset(pids.values()) - frozenset(owners.values()),
    )
