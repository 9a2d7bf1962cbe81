"""Where a lab's things are and what they are called; all follows from the path of its data folder.

So two labs on one machine never meet, and the next lab with the same folder finds what a killed one left.
"""

import contextlib
import hashlib
import ipaddress
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/slipway-lab")
"""Mount points and LXC's files: a guest's mapped root may enter it, whatever the data folder's mode."""
ID_FILES = (Path("/etc/subuid"), Path("/etc/subgid"))
FIRST_ID = 100000
ID_COUNT = 65536
"""Ids of a container, all that a Debian guest has."""
NETWORKS = ipaddress.IPv4Network("10.160.0.0/11")
"""The labs' subnets are parts of it, one /24 each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Names and folders of one lab."""

    data: Path
    tag: str
    """Six hexadecimal digits."""

    @property
    def guests(self) -> Path:
        """Folder with what is stored of each guest, one folder by VMID."""
        return self.data / "lxc"

    @property
    def run(self) -> Path:
        """Folder of what exists only while the lab runs."""
        return RUN / self.tag

    @property
    def lxcpath(self) -> Path:
        """Folder of LXC's configurations and logs; a guest's mapped root must be able to enter this too."""
        return self.run / "lxc"

    @property
    def bridge(self) -> str:
        """Kernel name of the bridge that the lab shows as `vmbr0`; at most 15 characters."""
        return f"slab{self.tag}"

    @property
    def table(self) -> str:
        """Name of the nftables table."""
        return f"slipway_lab_{self.tag}"

    def name(self, vmid: int) -> str:
        """Return LXC's name of a guest, unique on the machine as its cgroup is."""
        return f"slab-{self.tag}-{vmid}"

    def named(self, vmid: int) -> list[str]:
        """Return the arguments that name a guest for LXC's programs."""
        return ["-P", str(self.lxcpath), "-n", self.name(vmid)]

    def folder(self, vmid: int) -> Path:
        """Return the folder of everything that is stored of a guest."""
        return self.guests / str(vmid)

    def folders(self) -> list[Path]:
        """Folders of all guests, half-made ones included."""
        return [folder for folder in self.guests.glob("[1-9]*") if folder.is_dir()]

    def root(self, vmid: int) -> Path:
        """Return where a guest's root file system is mounted."""
        return self.run / "roots" / str(vmid)

    def runtime(self, vmid: int) -> Path:
        """Return where LXC looks for a guest's configuration, and logs."""
        return self.lxcpath / self.name(vmid)

    def subnets(self) -> list[ipaddress.IPv4Network]:
        """Subnets to try, in this lab's own order; the first that is free is taken."""
        every = list(NETWORKS.subnets(new_prefix=24))
        first = int(self.tag, 16) % len(every)
        return every[first:] + every[:first]


def place(data: Path) -> Place:
    """Derive all names from the data folder."""
    resolved = data.resolve()
    return Place(data=resolved, tag=hashlib.sha256(bytes(resolved)).hexdigest()[:6])


def cache_folder() -> Path:
    """Return the folder for templates and packages, shared by all labs; `SLIPWAY_LAB_CACHE` moves it."""
    named = os.environ.get("SLIPWAY_LAB_CACHE")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/cache/slipway-lab")
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway-lab"


def remove_cache() -> None:
    """Remove what labs keep there, and the folder itself if it is empty then: the setting may name any."""
    for name in ("bases", "packages", "templates"):
        shutil.rmtree(cache_folder() / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        cache_folder().rmdir()


def id_range(text: str) -> int | None:
    """First id of root's range in a subuid or subgid file, if it has one of full size."""
    for line in text.splitlines():
        match = re.fullmatch(r"(?:root|0):(\d+):(\d+)", line.strip())
        if match and int(match[2]) >= ID_COUNT:
            return int(match[1])
    return None


def free_id(text: str) -> int:
    """First id of a range that no line of the file has."""
    ends = [
        int(match[1]) + int(match[2]) for match in re.finditer(r"^[^:\n]+:(\d+):(\d+)$", text, re.MULTILINE)
    ]
    return max([FIRST_ID, *ends])
