"""Listeners from `/proc/net`, for guests without `ss`; open descriptors identify the process."""

import re
from ipaddress import IPv4Address, IPv6Address

from slipway.monitor.discovery.probes.listener import Listener, bare, owner

_ROW = re.compile(
    r"^(?P<table>tcp|udp)6?\s+\d+: (?P<address>[0-9A-F]+):(?P<port>[0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} "
    r"(?P<state>[0-9A-F]{2})(?: \S+){2} \S+\s+\d+\s+\d+ (?P<inode>\d+)"
)
_FOLDER = re.compile(r"^/proc/(?P<pid>\d+)/fd:")
_DESCRIPTOR = re.compile(r"socket:\[(?P<inode>\d+)\]")
_WAITING = {"tcp": "0A", "udp": "07"}
"""The state of a socket that waits for anyone."""
_V4_DIGITS = 8


COMMAND = (
    "{ for table in tcp tcp6 udp udp6; do"
    ' while read -r row; do printf "%s %s\\n" "$table" "$row"; done </proc/net/$table; done;'
    " ls -l /proc/[0-9]*/fd | grep -E '^/proc/|socket:'; } 2>/dev/null"
)
"""Print the tables, each row after its table's name, and whose descriptors are sockets."""


def parse(output: str) -> tuple[Listener, ...]:
    """Parse the rows; other lines are skipped."""
    owners = _owners(output)
    rows = (match for line in output.splitlines() if (match := _ROW.match(" ".join(line.split()))))
    return tuple(
        Listener(
            protocol=row["table"],
            address=bare(_address(row["address"])),
            port=int(row["port"], 16),
            process=None,
            pid=owner(owners.get(row["inode"], [])),
        )
        for row in rows
        if row["state"] == _WAITING[row["table"]]
    )


def _owners(output: str) -> dict[str, list[int]]:
    owners: dict[str, list[int]] = {}
    pid = 0
    for line in output.splitlines():
        if folder := _FOLDER.match(line):
            pid = int(folder["pid"])
        elif pid and (descriptor := _DESCRIPTOR.search(line)):
            owners.setdefault(descriptor["inode"], []).append(pid)
    return owners


def _address(digits: str) -> str:
    """Words of four bytes, each in the order of the machine, which is little-endian wherever Proxmox runs."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    packed = b"".join(words)
    if len(digits) == _V4_DIGITS:
        return str(IPv4Address(packed))
    address = IPv6Address(packed)
    # The table does not say whether such a socket takes IPv4 too; unless it was told otherwise, it does.
    return "*" if address.is_unspecified else str(address)
