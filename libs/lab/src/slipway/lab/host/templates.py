"""OS templates: what their names tell, what can be downloaded, and what a creation says of disks."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from slipway.lab.host import options
from slipway.lab.host.storages import FOLDERS, Storage, Volume
from slipway.lab.host.tasks import Work
from slipway.lab.schema.calls import OPTIONS

APPLIANCES = (
    ("debian-12-standard", "12.12-1", "debian-12", "Debian 12 Bookworm (standard)", "tar.zst"),
    ("debian-13-standard", "13.1-2", "debian-13", "Debian 13 Trixie (standard)", "tar.zst"),
    ("ubuntu-24.04-standard", "24.04-2", "ubuntu-24.04", "Ubuntu 24.04 Noble (standard)", "tar.zst"),
)
SOURCE = "http://download.proxmox.com/images/system"
WITHOUT_SYSTEMD = ("alpine", "devuan", "gentoo")
MKFS_FAILS = "mkfs.ext4: No space left on device while writing out and closing file system"
JOURNALS = ((1, 16), (2, 32), (16, 64), (32, 128), (64, 256), (128, 512))
"""What mke2fs takes for the journal of a file system below so many GiB, in MiB."""
LONGEST_JOURNAL = 1024
MIB = 1024
SYSTEMD = {"debian-12": 252, "debian-13": 257, "ubuntu-24.04": 255}


def ostype(template: Path) -> str:
    """Read the distribution from a template's name."""
    word = re.match(r"[a-z]+", template.name)
    choices = OPTIONS["ostype"].choices
    return word[0] if word and word[0] in choices else "debian"


def architecture(template: Path) -> str:
    """Read the architecture from a template's name; Proxmox looks at the guest's own `/bin/sh`."""
    word = template.name.partition(".tar")[0].rpartition("_")[2]
    return word if word in OPTIONS["arch"].choices else "amd64"


def unpacked_kib(template: Path) -> int:
    """Guess what a template takes when unpacked, so that a disk can be too small."""
    least = 10 if ostype(template) == "alpine" else 230
    return max(least * 1024, template.stat().st_size // 1024)


def warn_without_nesting(template: Path, config: Mapping[str, str], work: Work) -> None:
    """Warn as Proxmox does when a template with systemd has no `nesting`."""
    if ostype(template) in WITHOUT_SYSTEMD or config.get("ostype") == "unmanaged":
        return
    if options.features(config).get("nesting") != "1":
        version = next((number for name, number in SYSTEMD.items() if template.name.startswith(name)), 252)
        work.warn(f"Systemd {version} detected. You may need to enable nesting.")


def file_system_kib(size_kib: int) -> int:
    """Guess what making a file system writes: its journal, and the descriptions of its groups."""
    gib = size_kib / MIB / MIB
    journal = next((mib for below, mib in JOURNALS if gib < below), LONGEST_JOURNAL)
    return journal * MIB + size_kib // 20_000


def disk_lines(storage: Storage, volume: Volume) -> list[str]:
    """Return what making a disk logs (PVE 9.2, recorded for folders)."""
    if volume.format == "subvol":
        return []
    blocks = volume.size_kib // 4
    if storage.type not in FOLDERS:
        name = volume.volid.partition(":")[2]
        first = [f'  Logical volume "{name}" created.']
    else:
        path = image_path(storage, volume)
        first = [f"Formatting '{path}', fmt=raw size={volume.size_kib * 1024} preallocation=off"]
    return [
        *first,
        f"Creating filesystem with {blocks} 4k blocks and {blocks // 4} inodes",
        f"Filesystem UUID: {uuid.uuid5(uuid.NAMESPACE_OID, volume.volid)}",
        "Superblock backups stored on blocks: ",
        "\t" + ", ".join(str(block) for block in (32768, 98304, 163840, 229376, 294912) if block < blocks),
    ]


def image_path(storage: Storage, volume: Volume) -> str:
    """Return a disk's path on the node."""
    name = volume.volid.partition(":")[2]
    return f"{storage.path}/images/{name}" if storage.type in FOLDERS else f"/dev/pve/{name}"


def wget_lines(size_bytes: int) -> list[str]:
    """Return what wget writes of a download, as far as it is read: its size, and how far it is."""
    kib = max(1, size_bytes // 1024)
    lines = [
        "HTTP request sent, awaiting response... 200 OK",
        f"Length: {size_bytes} [application/octet-stream]",
    ]
    for percent in (25, 50, 75):
        at = kib * (percent - 25) // 100
        lines.append(f"{at:6d}K ........ ........ ........ ........ {percent:2d}%  112M 0s")
    return [*lines, f"{kib * 75 // 100:6d}K ........ ........ ........         100%  112M=0.1s"]


def appliances() -> list[dict[str, str]]:
    """List what can be downloaded, as `aplinfo` shows it."""
    return [_appliance(*one) for one in APPLIANCES]


def _appliance(package: str, version: str, system: str, headline: str, suffix: str) -> dict[str, str]:
    name = f"{package}_{version}_amd64.{suffix}"
    return {
        "template": name,
        "package": package,
        "version": version,
        "os": system,
        "type": "lxc",
        "section": "system",
        "architecture": "amd64",
        "headline": headline,
        "description": f"{headline}. In the lab it is made from the archive that its guests use.",
        "infopage": f"https://pve.proxmox.com/wiki/Linux_Container#{package}",
        "location": f"{SOURCE}/{name}",
        "source": "http://download.proxmox.com/images",
        "sha512sum": hashlib.sha512(name.encode()).hexdigest(),
        "md5sum": hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
    }
