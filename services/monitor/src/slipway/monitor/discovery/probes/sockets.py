"""Listeners: `ss` with process ids, TCP and UDP; the tables of the kernel where there is no `ss`."""

import re

from slipway.monitor.discovery.probes import kernel_sockets
from slipway.monitor.discovery.probes.listener import Listener, bare, owner

_PROCESS = re.compile(r'\("(?P<name>[^"]*)",pid=(?P<pid>\d+)')


COMMAND = f"ss -Hltnup 2>/dev/null || {kernel_sockets.COMMAND}"
"""List listeners without a header, numeric, with processes."""


def parse(output: str) -> tuple[Listener, ...]:
    """Parse `ss`'s lines: netid, state, queues, local, peer, processes; other lines are skipped."""
    listeners = tuple(listener for line in output.splitlines() if (listener := _line(line)) is not None)
    return listeners or kernel_sockets.parse(output)


def _line(line: str) -> Listener | None:
    columns = line.split(None, 6)
    if len(columns) < 6 or columns[0] not in {"tcp", "udp"}:  # noqa: PLR2004  ss prints six before processes
        return None
    address, _, port = columns[4].rpartition(":")
    if not port.isdigit() or columns[1].endswith(":"):
        return None
    names = {int(pid): name for name, pid in _PROCESS.findall("".join(columns[6:]))}
    pid = owner(list(names))
    return Listener(
        protocol=columns[0],
        address=bare(address),
        port=int(port),
        process=names.get(pid or 0),
        pid=pid,
    )
