"""Proxmox's answers about volumes, snapshots, templates, certificates, vnets and hardware, as frozen values.

The rest is in `answers`.
"""

from typing import ClassVar

from pydantic import Field

from slipway.contracts.values import PendingChange
from slipway.proxmox.fields import Answer, Flag, Moment, Whole

_SECRET = frozenset({"env"})
"""Settings whose values are not shown."""


class Volume(Answer):
    """Something on a storage: a template, a disk, a backup."""

    volid: str
    size: Whole = 0
    ctime: Moment | None = None
    vmid: Whole | None = None
    notes: str = ""
    """A backup's own words; not the notes in the config that is in it."""
    protected: Flag = False
    """Whether a backup may not be removed."""
    subtype: str | None = None
    """`lxc` or `qemu`: what a backup is of."""


class Snapshot(Answer):
    """A saved state of a container."""

    PRESENT: ClassVar[str] = "current"
    """The name of the row that stands for now."""

    name: str
    description: str = ""
    parent: str | None = None
    """The snapshot that it was made after, if any."""
    time: Moment | None = Field(default=None, alias="snaptime")
    state: str | None = Field(default=None, alias="snapstate")
    """`prepare` while it is made, `delete` while it is removed; None once it is whole (PVE's source)."""


class Appliance(Answer):
    """A container template that Proxmox offers for download."""

    template: str
    """The file name: `debian-12-standard_12.12-1_amd64.tar.zst`."""


class Certificate(Answer):
    """A certificate of a node, as `/nodes/{node}/certificates/info` lists them."""

    filename: str = ""
    fingerprint: str | None = None
    """SHA-256 in hex with colons."""

    @property
    def file(self) -> str:
        """Its file's name without a folder: `pve-ssl.pem`."""
        return self.filename.rpartition("/")[2]


class Pool(Answer):
    """A pool of guests and storages."""

    poolid: str


class Vnet(Answer):
    """A virtual network of the cluster's SDN; its name is that of a bridge on each node of its zone."""

    name: str = Field(alias="vnet")
    zone: str | None = None
    tag: Whole | None = None
    alias: str | None = None
    vlanaware: Flag = False


class PciDevice(Answer):
    """A PCI device of a node."""

    id: str
    """`0000:00:02.0`."""
    device_class: str = Field(alias="class", default="")
    """`0x030000`: the first two digits are 03 for what draws pictures or computes like it."""
    vendor_name: str = ""
    device_name: str = ""
    vendor: str = ""
    device: str = ""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a display controller."""
        return self.device_class.removeprefix("0x").startswith("03")


class PendingRow(Answer):
    """One setting: as it is, and as it will be."""

    key: str
    value: str | int | float | None = None
    pending: str | int | float | None = None
    delete: int = 0
    """1, or 2 if it is forced: it is taken away."""

    @property
    def change(self) -> PendingChange | None:
        """What waits; None if nothing does."""
        if self.pending is None and not self.delete:
            return None
        return PendingChange(now=self._shown(self.value), after_restart=self._shown(self.pending))

    def _shown(self, value: object) -> str | None:
        return None if value is None else "***" if self.key in _SECRET else str(value).strip()
