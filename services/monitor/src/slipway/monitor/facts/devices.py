"""Read a node's devices and mounted folders over SSH, with one command that is always the same.

A key that is bound to a forced command has to allow just this command; `COMMAND_LINE` is its text.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from slipway.contracts.cluster_facts import DeviceFact, FolderFact
from slipway.contracts.problems import Unavailable
from slipway.proxmox.ssh import NodeShell

COMMAND: Final = (
    "sh",
    "-c",
    "find /dev -maxdepth 4 -type c; echo; cat /proc/self/mounts; echo; lsusb 2>/dev/null",
)
"""Character devices, mounts and what USB devices call themselves, with an empty line between them."""
COMMAND_LINE: Final = shlex.join(COMMAND)
_SEPARATORS = 2
"""Empty lines in its output."""
TIMEOUT = timedelta(seconds=8)
MOST = 200
"""Of devices and of folders: a node may have thousands of mounts."""
_KINDS: Final = (
    ("gpu", re.compile(r"/dev/(dri/(card|renderD)\d+|kfd)")),
    ("nvidia", re.compile(r"/dev/nvidia[a-z0-9-]*(/nvidia-cap\d+)?")),
    ("usb", re.compile(r"/dev/bus/usb/\d{3}/\d{3}")),
    ("serial", re.compile(r"/dev/tty(USB|ACM)\d+")),
    ("tun", re.compile(r"/dev/net/tun")),
    ("kvm", re.compile(r"/dev/kvm")),
    ("fuse", re.compile(r"/dev/fuse")),
    ("video", re.compile(r"/dev/(video\d+|dvb/adapter\d+/\w+|apex_\d+)")),
)
_USB: Final = re.compile(r"Bus (\d{3}) Device (\d{3}): ID [0-9a-f]{4}:[0-9a-f]{4} *(.*)")
_HUB: Final = re.compile(r"\bhub\b", re.IGNORECASE)
_FOLDERS: Final = re.compile(
    r"ext[234]|xfs|btrfs|zfs|f2fs|bcachefs|nfs4?|cifs|smb3|ceph|9p|virtiofs|vfat|exfat|ntfs3?|fuse\.(?!lxcfs).+"
)
"""File systems that hold files of people, not what the kernel makes up."""
_NOT_OFFERED: Final = re.compile(r"/(boot|dev|proc|run|sys|etc|var/lib/lxc\w*)(/.*)?")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class NoDeviceList(Unavailable):
    """The node has not answered as expected when it was asked for its devices."""

    code = "node.devices-unreadable"


Found = tuple[tuple[DeviceFact, ...], tuple[FolderFact, ...]]


async def read(shell: NodeShell) -> Found:
    """Return devices and mounted folders of a node; raise if it can't be asked."""
    completed = await shell.run(COMMAND, timeout=TIMEOUT)
    if completed.stdout.splitlines().count("") < _SEPARATORS:
        cause = " ".join(completed.stderr.split())[:200] or f"exit code {completed.exit_code}"
        raise NoDeviceList(f"{shell.node} does not list its devices over SSH: {cause}.")
    return parse(completed.stdout)


def parse(output: str) -> Found:
    """Read the command's output; what is not understood is left out."""
    sections: list[list[str]] = [[]]
    for line in output.splitlines():
        if line:
            sections[-1].append(line)
        else:
            sections.append([])
    paths, mounts, usb = (*sections, [], [])[:3]
    return tuple(_devices(paths, dict(_usb_names(usb))))[:MOST], tuple(_folders(mounts))[:MOST]


def _devices(paths: Iterable[str], names: dict[str, str]) -> Iterator[DeviceFact]:
    for path in sorted(paths):
        kind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), None)
        name = names.get(path)
        if kind is not None and not (name and _HUB.search(name)):
            yield DeviceFact(path=path, kind=kind, name=name or None)


def _usb_names(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if match := _USB.fullmatch(line.rstrip()):
            yield f"/dev/bus/usb/{match[1]}/{match[2]}", match[3]


def _folders(lines: Iterable[str]) -> Iterator[FolderFact]:
    """Yield what is mounted, by path; of several mounts at one place the last is to be seen."""
    mounted = {}
    for line in lines:
        match line.split(" "):
            case [source, path, kind, options, *_] if _FOLDERS.fullmatch(kind):
                place = _unescaped(path)
                mounted[place] = FolderFact(
                    path=place,
                    type=kind,
                    source=_unescaped(source),
                    is_read_only="ro" in options.split(","),
                )
    yield from (mounted[path] for path in sorted(mounted) if not _NOT_OFFERED.fullmatch(path))


def _unescaped(text: str) -> str:
    """Return a field of a mount: blanks and backslashes stand there as octal numbers (getmntent(3))."""
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
    return raw.encode("utf-8", errors="replace").decode("utf-8", errors="replace")
