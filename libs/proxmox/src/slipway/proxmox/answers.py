"""What Proxmox answers, as frozen values.

Only what Slipway reads is named; the rest is ignored, so that a newer Proxmox does no harm. Fields that
Proxmox leaves out (for want of a right, or since the guest is stopped or its node away) are None, never 0.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_NETWORK = re.compile(r"net\d+")
_DEVICE = re.compile(r"dev\d+")
_MOUNT = re.compile(r"rootfs|mp\d+")


def _as_moment(seconds: object) -> object:
    return datetime.fromtimestamp(seconds, tz=UTC) if isinstance(seconds, int | float) else seconds


def _as_words(text: object) -> object:
    return (
        tuple(sorted(word for word in text.replace(";", ",").split(",") if word))
        if isinstance(text, str)
        else text
    )


Moment = Annotated[datetime, BeforeValidator(_as_moment)]
"""Seconds since the epoch, as an aware datetime."""
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]
"""A list that Proxmox writes with commas or semicolons; sorted."""


class Answer(BaseModel):
    """Anything Proxmox answered."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Power(StrEnum):
    """What Proxmox says of a guest; `unknown` right after boot, or when its node is away."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Version(Answer):
    """Which Proxmox answers."""

    version: str
    release: str

    @property
    def major(self) -> int:
        """9 for 9.2.11."""
        return int(self.version.partition(".")[0])


class Node(Answer):
    """A node, as the list of nodes shows it; without Sys.Audit only name and status."""

    name: str = Field(alias="node")
    status: str
    """`online`, `offline` or `unknown`."""
    cpu: float | None = None
    """Load, 0 to 1 of all cores."""
    maxcpu: int | None = None
    mem: int | None = None
    maxmem: int | None = None
    disk: int | None = None
    maxdisk: int | None = None
    uptime: int | None = None
    ssl_fingerprint: str | None = None


class ClusterMember(Answer):
    """One row of the cluster's status: the cluster itself, or a node."""

    type: str
    """`cluster` or `node`."""
    name: str
    ip: str | None = None
    online: bool | None = None
    local: bool | None = None
    """Whether this node answered."""
    quorate: bool | None = None
    """On the cluster's row only; a single node has no such row."""
    nodes: int | None = None


class Storage(Answer):
    """A storage as one node sees it."""

    name: str = Field(alias="storage")
    type: str
    content: Words = ()
    """`rootdir`, `vztmpl`, `images`, ..."""
    active: bool = False
    enabled: bool = True
    shared: bool = False
    total: int | None = None
    used: int | None = None
    avail: int | None = None


class Bridge(Answer):
    """A network bridge of a node."""

    name: str = Field(alias="iface")
    type: str
    active: bool = False
    cidr: str | None = None
    cidr6: str | None = None
    gateway: str | None = None
    comments: str | None = None


class ResourceGuest(Answer):
    """A guest in `/cluster/resources`: cheap to ask, up to ten seconds old (PVE 9.2, observed)."""

    vmid: int
    node: str
    type: str
    """`lxc` or `qemu`."""
    name: str = ""
    status: Power = Power.UNKNOWN
    template: bool = False
    tags: Words = ()
    lock: str | None = None
    pool: str | None = None
    cpu: float | None = None
    maxcpu: float | None = None
    mem: int | None = None
    maxmem: int | None = None
    disk: int | None = None
    maxdisk: int | None = None
    netin: int | None = None
    netout: int | None = None
    diskread: int | None = None
    diskwrite: int | None = None
    uptime: int | None = None


class Resources(Answer):
    """`/cluster/resources`, sorted into what Slipway reads.

    Proxmox leaves out what the caller may not see: missing here is not the same as gone.
    """

    guests: tuple[ResourceGuest, ...]
    nodes: tuple[Node, ...]


class ContainerConfig(Answer):
    """A container's config. Never compare its strings: Proxmox reorders and completes them."""

    digest: str
    hostname: str | None = None
    description: str = ""
    """Comes back with a newline at its end."""
    lock: str | None = None
    ostype: str | None = None
    arch: str | None = None
    cores: int | None = None
    memory: int | None = None
    swap: int | None = None
    rootfs: str | None = None
    unprivileged: bool = False
    onboot: bool = False
    protection: bool = False
    template: bool = False
    features: str | None = None
    nameserver: str | None = None
    searchdomain: str | None = None
    hookscript: str | None = None
    tags: Words = ()
    cpulimit: float | None = None
    """How many cores' worth of time at most; 0 is no limit."""
    cpuunits: int | None = None
    timezone: str | None = None
    cmode: str | None = None
    console: bool | None = None
    tty: int | None = None
    debug: bool | None = None
    entrypoint: str | None = None
    env: str | None = None
    """`NAME=value` pairs, with NUL between them."""
    startup: Mapping[str, int] = Field(default_factory=dict)
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
        networks = {key: options(text) for key, text in values.items() if _NETWORK.fullmatch(key)}
        mounts = {key: options(text) for key, text in values.items() if _MOUNT.fullmatch(key)}
        devices = {key: options(text) for key, text in values.items() if _DEVICE.fullmatch(key)}
        startup = {"startup": startup_of(values["startup"])} if "startup" in values else {}
        return {**values, "networks": networks, "mounts": mounts, "devices": devices, **startup}

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

    managed: bool = False
    state: str | None = None
    """`started`, `stopped`, `error`, ...: what it was asked for, or why it does nothing."""


class ContainerStatus(Answer):
    """A container right now."""

    vmid: int
    status: Power
    name: str = ""
    lock: str | None = None
    template: bool = False
    tags: Words = ()
    uptime: int = 0
    pid: int | None = None
    cpu: float | None = None
    """0 to 1 of its cores; the first value after a start is 0."""
    cpus: float | None = None
    mem: int | None = None
    maxmem: int | None = None
    swap: int | None = None
    maxswap: int | None = None
    disk: int | None = None
    maxdisk: int | None = None
    netin: int | None = None
    netout: int | None = None
    diskread: int | None = None
    diskwrite: int | None = None
    ha: HaState = HaState()


class Interface(Answer):
    """A network interface inside a running container, `lo` included."""

    name: str
    hwaddr: str = ""
    inet: str | None = None
    inet6: str | None = None
    ip_addresses: tuple[Mapping[str, str | int], ...] = Field(default=(), alias="ip-addresses")

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """All its addresses, IPv4 first; a DHCP address appears some seconds after the start."""
        told = {
            f"{entry['ip-address']}/{entry['prefix']}" for entry in self.ip_addresses if "ip-address" in entry
        }
        told |= {text for text in (self.inet, self.inet6) if text}
        return tuple(sorted((ip_interface(text) for text in told), key=lambda at: (at.version, int(at.ip))))


def options(text: object) -> Mapping[str, str]:
    """Read a property string: `name=eth0,bridge=vmbr0`; a first value without a key is `volume`."""
    pairs: dict[str, str] = {}
    for part in str(text).split(","):
        key, equals, value = part.partition("=")
        pairs.update({key: value} if equals else {"volume": part})
    return pairs


def startup_of(text: object) -> Mapping[str, int]:
    """Read `order=1,up=30`; a first number without a key is the order."""
    names = {"volume": "order"}
    return {names.get(key, key): int(value) for key, value in options(text).items()}
