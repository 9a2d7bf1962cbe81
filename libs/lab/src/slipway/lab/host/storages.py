"""Storages, the volumes on them and the OS templates.

Volumes outlive containers when a worker is killed: they are stored in a file of their own, and those on
shared storages in one file for all nodes of the cluster. Templates are those that the guests' backend offers
and those that were downloaded; both are shown as `local:vztmpl/...`.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from slipway.lab.host import groups, records
from slipway.lab.host.condition import Condition
from slipway.lab.problems import Refused, bad_parameters

GIB = 1024**3
TEMPLATE_STORAGE = "local"
FOLDERS = frozenset({"dir", "nfs"})
SNAPSHOTS = frozenset({"lvmthin", "zfspool", "rbd", "btrfs"})
ONLY_ROOT_PATHS = (
    "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651."
)
BLOCK_DEVICES = "/dev/pve"
HOST_CACHE = "/var/lib/vz/template/cache"

_DISK = re.compile(r"(?:\d+/)?(?:vm|base|subvol)-\d+-\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """One storage of the cluster's configuration."""

    name: str
    type: str
    content: tuple[str, ...]
    total_bytes: int
    path: str | None = None
    is_enabled: bool = True
    is_shared: bool = False
    """Whether all nodes see the same content."""
    nodes: tuple[str, ...] = ()
    """The nodes that have it; empty for all."""

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


def of_cluster(nodes: Sequence[str]) -> tuple[Storage, ...]:
    """Return the storages of a cluster: each node's, a shared one, and one that only the first has."""
    if len(nodes) == 1:
        return STORAGES
    shared = Storage(
        name="shared",
        type="nfs",
        content=("backup", "images", "rootdir"),
        total_bytes=500 * GIB,
        path="/mnt/pve/shared",
        is_shared=True,
    )
    fast = Storage(
        name="fast", type="lvmthin", content=("images", "rootdir"), total_bytes=100 * GIB, nodes=(nodes[0],)
    )
    return (*STORAGES, shared, fast)


class Volumes(dict[str, Volume]):
    """Disks by name, stored in a file."""

    def __init__(self, path: Path) -> None:
        stored = records.read_json(path) or ()
        super().__init__((one["volid"], Volume(**one)) for one in stored)
        self._path = path

    def save(self) -> None:
        """Write them down."""
        records.write_json(self._path, [asdict(one) for one in self.values()])


class Storages:
    """All storages of a node."""

    def __init__(
        self, folder: Path, condition: Condition, storages: Sequence[Storage], shared: Volumes
    ) -> None:
        """Take over what a predecessor left; `shared` are the disks that all nodes see."""
        self._folder = folder
        self._condition = condition
        self._faults = condition.faults
        self._configured = {storage.name: storage for storage in storages}
        self._own = Volumes(folder / "volumes.json")
        self._shared = shared
        self._offered: list[Path] = []

    def load(self, offered: Sequence[Path]) -> None:
        """Take the templates that the guests offer."""
        self._offered = list(offered)

    def configured(self) -> list[Storage]:
        """Return all that the cluster has, by name."""
        return [self._configured[name] for name in sorted(self._configured)]

    def all(self) -> list[Storage]:
        """Return all that this node has, by name."""
        return [one for one in self.configured() if not one.nodes or self._condition.first_name in one.nodes]

    def get(self, name: str) -> Storage:
        """Look one up; refuse one that does not exist, or not here."""
        if name not in self._configured:
            raise Refused(f"storage '{name}' does not exist")
        storage = self._configured[name]
        if storage.nodes and self._condition.first_name not in storage.nodes:
            raise Refused(f"storage '{name}' is not available on node '{self._condition.name}'")
        return storage

    def is_shared(self, name: str) -> bool:
        """Return whether all nodes see what is on a storage."""
        return name in self._configured and self._configured[name].is_shared

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
        return min(storage.total_bytes, self._used_besides(storage, None))

    def room_kib(self, volid: str) -> int:
        """Return how much is free for a disk on its storage, not counting the disk itself."""
        storage = self.get(volid.partition(":")[0])
        return max(0, storage.total_bytes - self._used_besides(storage, volid)) // 1024

    def _used_besides(self, storage: Storage, volid: str | None) -> int:
        disks = sum(one.size_kib for one in self.volumes(storage.name) if one.volid != volid) * 1024
        disks //= 1 if groups.is_thick(storage.type) else 10
        archives = self.templates() if storage.name == TEMPLATE_STORAGE else {}
        others = min(2 * GIB, storage.total_bytes // 10)
        return others + disks + sum(path.stat().st_size for path in archives.values())

    def allocate(self, name: str, vmid: int, size_kib: int) -> Volume:
        """Make a disk. Thin and sparse storages take any size; one without a size is a plain folder."""
        volumes, number = self._stored(name), 0
        kind = "subvol" if size_kib == 0 else "raw"
        while (volid := self._volid(name, vmid, number, kind)) in volumes:
            number += 1
        if kind == "subvol" and self._configured[name].type not in FOLDERS:
            raise Refused(
                f"lvcreate 'pve/{volid.partition(':')[2]}' error:   "
                "Unable to create new logical volume with no extents."
            )
        groups.check(self._configured[name].type, self._free(name), volid, size_kib)
        ctime = int(self._condition.now())
        volume = Volume(volid=volid, vmid=vmid, size_kib=size_kib, ctime=ctime, format=kind)
        volumes[volid] = volume
        volumes.save()
        return volume

    def find(self, volid: str) -> Volume | None:
        """Look a disk up."""
        name = volid.partition(":")[0]
        return self._stored(name).get(volid) if name in self._configured else None

    def volume(self, volid: str) -> Volume:
        """Look a disk up that must be there."""
        self.check_name(volid)
        if (volume := self.find(volid)) is None:
            raise Refused(f"no such volume '{volid}'")
        return volume

    def check_name(self, volid: str) -> None:
        """Refuse a name that no disk can have, such as that of a disk still to be made."""
        name, _, rest = volid.partition(":")
        storage = self.get(name)
        if not _DISK.fullmatch(rest):
            kind = "directory" if storage.type in FOLDERS else "lvm"
            raise Refused(f"unable to parse {kind} volume name '{rest}'")

    def resize(self, volid: str, size_kib: int) -> None:
        """Give a disk another size."""
        name = volid.partition(":")[0]
        volumes = self._stored(name)
        has_kib = volumes[volid].size_kib
        groups.check(self._configured[name].type, self._free(name), volid, size_kib, has_kib)
        volumes[volid] = replace(volumes[volid], size_kib=size_kib)
        volumes.save()

    def rename(self, volid: str, name: str) -> None:
        """Give a disk another name on its storage."""
        volumes = self._stored(volid.partition(":")[0])
        volumes[name] = replace(volumes.pop(volid), volid=name)
        volumes.save()

    def free(self, vmid: int) -> list[Volume]:
        """Remove all disks of a container, also those on shared storages."""
        gone = self.volumes_of(vmid)
        for volume in gone:
            self.remove(volume.volid)
        return gone

    def remove(self, volid: str) -> None:
        """Remove a disk."""
        volumes = self._stored(volid.partition(":")[0])
        del volumes[volid]
        volumes.save()

    def volumes(self, name: str) -> list[Volume]:
        """List the disks on a storage."""
        return [one for one in self._stored(name).values() if one.volid.startswith(f"{name}:")]

    def volumes_of(self, vmid: int) -> list[Volume]:
        """List a container's disks."""
        return [one for stored in (self._own, self._shared) for one in stored.values() if one.vmid == vmid]

    def templates(self) -> dict[str, Path]:
        """List the OS templates: archive by volume name."""
        downloaded = sorted(path for path in (self._folder / "templates").iterdir() if ".tar" in path.name)
        return {f"{TEMPLATE_STORAGE}:vztmpl/{path.name}": path for path in (*self._offered, *downloaded)}

    def offered(self) -> list[Path]:
        """Return the archives behind everything: the ones that the guests' backend made."""
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

    def _free(self, name: str) -> int:
        storage = self._configured[name]
        return storage.total_bytes - self.used_bytes(storage)

    def _stored(self, name: str) -> Volumes:
        return self._shared if self._configured[name].is_shared else self._own

    def _volid(self, name: str, vmid: int, number: int, kind: str) -> str:
        if self._configured[name].type not in FOLDERS:
            return f"{name}:vm-{vmid}-disk-{number}"
        if kind == "subvol":
            return f"{name}:{vmid}/subvol-{vmid}-disk-{number}.subvol"
        return f"{name}:{vmid}/vm-{vmid}-disk-{number}.raw"


def check_template_volume(storages: Storages, volid: str, *, is_root: bool) -> None:
    """Refuse a template volume that can be no template: what is checked before the task starts."""
    if ":" not in volid:
        if not is_root:
            raise Refused(ONLY_ROOT_PATHS)
        return
    storage, _, name = volid.partition(":")
    storages.get(storage)
    if not re.fullmatch(r"vztmpl/.+", name):
        raise Refused(f"unable to use volume {volid} - content type needs to be 'vztmpl'")
