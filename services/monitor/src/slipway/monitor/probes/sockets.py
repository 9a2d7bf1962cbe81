"""Who listens: `ss` with process ids, TCP and UDP, IPv4 and IPv6."""

import re
from dataclasses import dataclass

_PROCESS = re.compile(r'\("(?P<name>[^"]*)",pid=(?P<pid>\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One listening socket."""

    protocol: str
    address: str
    """As bound; `*` is every address."""
    port: int
    process: str | None
    pid: int | None


def command() -> str:
    """List listeners without a header, numeric, with processes."""
    return "ss -Hltnup 2>/dev/null"


def parse(output: str) -> tuple[Listener, ...]:
    """Read `ss`'s lines: netid, state, queues, local, peer, processes; what is not one is skipped."""
    return tuple(listener for line in output.splitlines() if (listener := _line(line)) is not None)


def _line(line: str) -> Listener | None:
    columns = line.split(None, 6)
    if len(columns) < 6 or columns[0] not in {"tcp", "udp"}:  # noqa: PLR2004  ss prints six before processes
        return None
    address, _, port = columns[4].rpartition(":")
    if not port.isdigit():
        return None
    found = _PROCESS.search(columns[6]) if len(columns) > 6 else None  # noqa: PLR2004  the seventh
    return Listener(
        protocol=columns[0],
        address=_bare(address),
        port=int(port),
        process=found["name"] if found else None,
        pid=int(found["pid"]) if found else None,
    )


def _bare(address: str) -> str:
    plain = address.partition("%")[0].strip("[]")
    return "*" if plain in {"0.0.0.0", "::", "*"} else plain  # noqa: S104  read, not bound
