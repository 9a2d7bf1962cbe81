"""Storages, the volumes on them and the OS templates.

Volumes outlive containers when a worker is killed: they are kept in a file of their own. Templates are those
that the guests' backend offers and those that were downloaded; both are shown as `local:vztmpl/...`.
"""

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.lab.faults import Faults
from slipway.lab.host import records
from slipway.lab.problems import Refused, bad_parameters

GIB = 1024**3
TEMPLATE_STORAGE = "local"
SNAPSHOTS = frozenset({"lvmthin", "zfspool", "rbd", "btrfs"})
HOST_CACHE = "/var/lib/vz/template/cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """One storage of the node."""

    name: str
    type: str
    content: tuple[str, ...]
    total_bytes: int
    path: str | None = None
    is_enabled: bool = True

    @property
    def has_snapshots(self) -> bool:
        """Whether its disks can be snapshot: those in a folder, raw images, can not."""
        return self.type in SNAPSHOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A container's disk."""

    volid: str
    vmid: int
    size_kib: int
    ctime: int
    format: str = "raw"


STORAGES = (
    Storage(
        name="local",
        type="dir",
        content=("backup", "images", "iso", "rootdir", "snippets", "vztmpl"),
        total_bytes=252 * GIB,
        path="/var/lib/vz",
    ),
    Storage(name="local-lvm", type="lvmthin", content=("images", "rootdir"), total_bytes=800 * GIB),
    Storage(name="backup", type="dir", content=("backup", "iso"), total_bytes=1000 * GIB, path="/mnt/backup"),
)


class Storages:
    """All storages of the node."""

    def __init__(self, folder: Path, faults: Faults, storages: Sequence[Storage] = STORAGES) -> None:
        self._folder = folder
        self._faults = faults
        self._storages = {storage.name: storage for storage in storages}
        self._volumes: dict[str, Volume] = {}
        self._offered: list[Path] = []

    def load(self, offered: Sequence[Path]) -> None:
        """Take over what a predecessor left, and the templates that the guests offer."""
        self._offered = list(offered)
        for kept in records.read_json(self._folder / "volumes.json") or ():
            self._volumes[kept["volid"]] = Volume(**kept)

    def all(self) -> list[Storage]:
        """Give all, by name."""
        return [self._storages[name] for name in sorted(self._storages)]

    def get(self, name: str) -> Storage:
        """Look one up."""
        if name not in self._storages:
            raise Refused(f"storage '{name}' does not exist")
        return self._storages[name]

    def for_containers(self, name: str) -> Storage:
        """Look one up that is enabled and takes containers' disks."""
        storage = self.get(name)
        if not storage.is_enabled:
            raise Refused(f"storage '{name}' is disabled")
        if "rootdir" not in storage.content:
            raise bad_parameters({"storage": f"storage '{name}' does not support container directories"})
        return storage

    def used_bytes(self, storage: Storage) -> int:
        """Count what is used; a thin disk counts a tenth of its size, an ordered fault fills it."""
        if self._faults.is_full(storage.name):
            return storage.total_bytes
        disks = (
            sum(one.size_kib for one in self._volumes.values() if _is_on(one.volid, storage.name))
            * 1024
            // 10
        )
        archives = self.templates() if storage.name == TEMPLATE_STORAGE else {}
        return min(
            storage.total_bytes, 2 * GIB + disks + sum(path.stat().st_size for path in archives.values())
        )

    def allocate(self, name: str, vmid: int, size_kib: int) -> Volume:
        """Make a disk. Thin and sparse storages take any size (PVE 9.2, observed)."""
        number = 0
        while (volid := self._volid(name, vmid, number)) in self._volumes:
            number += 1
        volume = Volume(volid=volid, vmid=vmid, size_kib=size_kib, ctime=int(time.time()))
        self._volumes[volid] = volume
        self._save()
        return volume

    def resize(self, volid: str, size_kib: int) -> None:
        """Give a disk another size."""
        kept = asdict(self._volumes[volid]) | {"size_kib": size_kib}
        self._volumes[volid] = Volume(**kept)
        self._save()

    def free(self, vmid: int) -> list[Volume]:
        """Remove all disks of a container."""
        gone = self.volumes_of(vmid)
        for volume in gone:
            del self._volumes[volume.volid]
        self._save()
        return gone

    def volumes(self, name: str) -> list[Volume]:
        """List the disks on a storage."""
        return [one for one in self._volumes.values() if _is_on(one.volid, name)]

    def volumes_of(self, vmid: int) -> list[Volume]:
        """List a container's disks."""
        return [one for one in self._volumes.values() if one.vmid == vmid]

    def templates(self) -> dict[str, Path]:
        """List the OS templates: archive by volume name."""
        downloaded = sorted(path for path in (self._folder / "templates").iterdir() if ".tar" in path.name)
        return {f"{TEMPLATE_STORAGE}:vztmpl/{path.name}": path for path in (*self._offered, *downloaded)}

    def offered(self) -> list[Path]:
        """Give the archives behind everything: the ones that the guests' backend made."""
        return list(self._offered)

    def template(self, volid: str) -> Path:
        """Look a template up; for use inside a task, where a missing one is found out."""
        if ":" not in volid:
            raise Refused(f"can't find file '{volid}'")
        path = self.templates().get(volid)
        if path is None:
            raise Refused(f"volume '{volid}' does not exist")
        return path

    def download(self, name: str, archive: Path) -> None:
        """Put an archive among the templates under a name."""
        shutil.copyfile(archive, self._folder / "templates" / name)

    def _volid(self, name: str, vmid: int, number: int) -> str:
        if self._storages[name].type == "dir":
            return f"{name}:{vmid}/vm-{vmid}-disk-{number}.raw"
        return f"{name}:vm-{vmid}-disk-{number}"

    def _save(self) -> None:
        records.write_json(self._folder / "volumes.json", [asdict(one) for one in self._volumes.values()])


def check_template_volume(storages: Storages, volid: str) -> None:
    """Refuse a template volume that can be no template: what is checked before the task starts."""
    if ":" not in volid:
        return
    storage, _, name = volid.partition(":")
    storages.get(storage)
    if not re.fullmatch(r"vztmpl/.+", name):
        raise Refused(f"unable to use volume {volid} - content type needs to be 'vztmpl'")


def _is_on(volid: str, storage: str) -> bool:
    return volid.startswith(f"{storage}:")
