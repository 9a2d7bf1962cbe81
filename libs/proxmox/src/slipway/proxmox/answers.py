"""What Proxmox answers, as frozen values.

Only what Slipway reads is named; the rest is ignored, so that a newer Proxmox does no harm. Fields that
Proxmox leaves out (for want of a right, or since the guest is stopped or its node away) are None, never 0.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from slipway.proxmox.fields import Answer, Flag, Vmid, Whole, Words

_NETWORK = re.compile(r"net\d+")
_DEVICE = re.compile(r"dev\d+")
_MOUNT = re.compile(r"rootfs|mp\d+")
_GUEST_ID = re.compile(r"(?P<type>[a-z]+)/(?P<vmid>\d+)")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "i686": "i386",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "riscv64": "riscv64",
}
_VMID = re.compile(r"\d+(?:\.0*)?")


def _as_startup(value: object) -> object:
    return value if isinstance(value, Mapping) else startup_of(value)


Startup = Annotated[Mapping[str, int], BeforeValidator(_as_startup)]


class Power(StrEnum):
    """What Proxmox says of a guest; `unknown` right after boot, or when its node is away.

    Anything else that it says (`paused`, `prelaunch`, `suspended`, `io-error` of a VM) is unknown to us too.
    """

    RUNNING = "running"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, _value: object) -> "Power":
        return cls.UNKNOWN


class Version(Answer):
    """Which Proxmox answers."""

    version: str

    @property
    def major(self) -> int:
        """9 for 9.2.11."""
        return int(self.version.partition(".")[0])


class Node(Answer):
    """A node, as the list of nodes shows it; without Sys.Audit only name and status."""

    name: str = Field(alias="node")
    status: str = "unknown"
    """`online`, `offline` or `unknown`."""
    maxcpu: Whole | None = None
    maxmem: Whole | None = None


class Kernel(Answer):
    """The kernel that a node runs."""

    machine: str = ""
    """As `uname -m` says it: `x86_64`."""


class NodeStatus(Answer):
    """A node's own status, of which only the kernel is read."""

    kernel: Kernel = Field(alias="current-kernel", default_factory=Kernel)

    @property
    def architecture(self) -> str | None:
        """The architecture as Proxmox names those of containers; None for one that it has no name for."""
        return _ARCHITECTURES.get(self.kernel.machine)


class ClusterMember(Answer):
    """One row of the cluster's status: the cluster itself, or a node."""

    type: str
    """`cluster` or `node`."""
    name: str
    ip: str | None = None
    online: Flag | None = None
    local: Flag | None = None
    """Whether this node answered."""
    quorate: Flag | None = None
    """On the cluster's row only; a single node has no such row."""


class Storage(Answer):
    """A storage as one node sees it."""

    name: str = Field(alias="storage")
    type: str = ""
    content: Words = ()
    """`rootdir`, `vztmpl`, `images`, ..."""
    active: Flag = False
    enabled: Flag = True
    shared: Flag = False
    total: Whole | None = None
    avail: Whole | None = None


class Bridge(Answer):
    """A network bridge of a node, or a vnet of the cluster's SDN that it has."""

    name: str = Field(alias="iface")
    type: str = ""
    cidr: str | None = None
    cidr6: str | None = None
    bridge_vlan_aware: Flag = False
    bridge_vids: str | None = None
    """The VLANs that it lets through: `2-4094`."""
    vlanaware: Flag = False
    """The same as `bridge_vlan_aware`, of a vnet."""
    comments: str | None = None

    @property
    def is_vlan_aware(self) -> bool:
        """Whether it passes VLANs on; Open vSwitch always does."""
        return self.bridge_vlan_aware or self.vlanaware or self.type == "OVSBridge"


class ResourceGuest(Answer):
    """A guest in `/cluster/resources`: cheap to ask, up to ten seconds old (PVE 9.2, observed).

    Only its VMID is essential: one that is not seen would count as free. If it can't be read it is taken
    from the row's id, `qemu/900`.
    """

    vmid: Vmid
    node: str = ""
    type: str = ""
    """`lxc` or `qemu`."""
    name: str = ""
    status: Power = Power.UNKNOWN
    tags: Words = ()
    lock: str | None = None
    cpu: float | None = None
    """0 to 1 of its cores; the first value after a start is 0."""
    mem: Whole | None = None
    maxmem: Whole | None = None
    disk: Whole | None = None
    maxdisk: Whole | None = None
    uptime: Whole | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or (named := _GUEST_ID.fullmatch(str(values.get("id")))) is None:
            return values
        own = {"vmid": named["vmid"]} if _VMID.fullmatch(str(values.get("vmid"))) is None else {}
        return {"type": named["type"], **values, **own}


class Resources(Answer):
    """`/cluster/resources`, sorted into what Slipway reads.

    Proxmox leaves out what the caller may not see: missing here is not the same as gone.
    """

    guests: tuple[ResourceGuest, ...]
    nodes: tuple[Node, ...]
    lost: int = 0
    """Rows that could not be read and may be guests: a guest that seems to be missing may be one of them."""


class ContainerConfig(Answer):
    """A container's config. Never compare its strings: Proxmox reorders and completes them."""

    digest: str
    hostname: str | None = None
    description: str = ""
    """Comes back with a newline at its end."""
    lock: str | None = None
    ostype: str | None = None
    arch: str | None = None
    cores: Whole | None = None
    memory: Whole | None = None
    swap: Whole | None = None
    rootfs: str | None = None
    unprivileged: Flag = False
    onboot: Flag = False
    protection: Flag = False
    template: Flag = False
    features: str | None = None
    nameserver: str | None = None
    searchdomain: str | None = None
    hookscript: str | None = None
    tags: Words = ()
    cpulimit: float | None = None
    """How many cores' worth of time at most; 0 is no limit."""
    cpuunits: Whole | None = None
    timezone: str | None = None
    cmode: str | None = None
    console: Flag | None = None
    tty: Whole | None = None
    debug: Flag | None = None
    entrypoint: str | None = None
    env: str | None = None
    """`NAME=value` pairs, with NUL between them."""
    startup: Startup = Field(default_factory=dict)
    """`order`, `up` and `down`: its place among those that start on boot, and the waits."""
    mounts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """`{"rootfs": {"volume": "local:100/vm-100-disk-0.raw", "size": "4G"}, "mp0": {..., "mp": "/data"}}`."""
    devices: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    networks: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """`{"net0": {"name": "eth0", "bridge": "vmbr0", "hwaddr": ...}}`."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "networks" in values:
            return values
        gathered = {"networks": _NETWORK, "mounts": _MOUNT, "devices": _DEVICE}
        return {
            **values,
            **{
                name: {
                    key: options(text)
                    for key, text in values.items()
                    if text is not None and pattern.fullmatch(key)
                }
                for name, pattern in gathered.items()
            },
        }

    @property
    def flags(self) -> Mapping[str, str]:
        """The features, taken apart: `{"nesting": "1"}`."""
        return options(self.features) if self.features else {}

    @property
    def is_bare(self) -> bool:
        """Whether only a lock is there: what a creation writes first, and all that a killed one leaves."""
        return self.rootfs is None and self.hostname is None


class HaState(Answer):
    """What the HA manager has to do with a guest."""

    managed: Flag = False
    state: str | None = None
    """`started`, `stopped`, `error`, ...: what it was asked for, or why it does nothing."""


class ContainerStatus(Answer):
    """A container right now."""

    vmid: Vmid
    status: Power
    uptime: Whole = 0
    disk: Whole | None = None
    maxdisk: Whole | None = None
    ha: HaState = HaState()


def options(text: object) -> Mapping[str, str]:
    """Read a property string: `name=eth0,bridge=vmbr0`; a first value without a key is `volume`."""
    pairs: dict[str, str] = {}
    for part in filter(str.strip, str(text).split(",")):
        key, equals, value = part.partition("=")
        pairs.update({key: value} if equals else {"volume": part})
    return pairs


def startup_of(text: object) -> Mapping[str, int]:
    """Read `order=1,up=30`; a first number without a key is the order."""
    names = {"volume": "order"}
    return {names.get(key, key): int(value) for key, value in options(text).items()}
