"""Containers: what is asked for when one is created, what is known of one, and what changes it.

Words and units are Proxmox's (`memory` in MiB, `disk` in GiB). Whoever sends a `CreateContainer` has no
more rights than its actor; the rules are inventory's.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Event, Id, Moment, Query, Value
from slipway.contracts.values import (
    ContainerSort,
    Lifecycle,
    OnFailure,
    Outage,
    PendingChange,
    Power,
    Sealed,
)


class NetworkSpec(Value):
    """One network device, `net0` first.

    In a change, None leaves a setting as it is; 0 or an empty text takes `tag`, `trunks`, `mtu`, `rate` away.
    """

    name: str | None = None
    """Inside the guest; `eth0` for the first."""
    bridge: str | None = None
    """None takes the node's first bridge."""
    ip: str | None = None
    """`dhcp`, `manual`, or an address with prefix length; None is `dhcp` for the first device."""
    gw: str | None = None
    ip6: str | None = None
    """`auto`, `dhcp`, `manual`, or an address with prefix length."""
    gw6: str | None = None
    tag: int | None = None
    """VLAN, 1 to 4094."""
    trunks: str | None = None
    mtu: int | None = None
    rate: float | None = None
    """MB/s."""
    firewall: bool | None = None
    link_down: bool | None = None
    hwaddr: str | None = None


class MountSpec(Value):
    """One additional volume, or a folder of the host: a bind mount, if the operator allows it."""

    storage: str
    """A storage's name; or an absolute host path, whose bind mount has no option but `readonly`."""
    size: float | None = None
    """GiB."""
    path: str
    """Guest path."""
    backup: bool | None = None
    readonly: bool | None = None
    acl: bool | None = None
    quota: bool | None = None

    @property
    def is_bind(self) -> bool:
        """Whether it is a folder of the host."""
        return self.storage.startswith("/")


class PackageSpec(Value):
    """Packages for one manager."""

    manager: str = "apt"
    names: tuple[str, ...]


class ContainerSpec(Value):
    """Everything that may be asked of a new container; only `hostname` and a source are needed."""

    hostname: str
    template: str | None = None
    """Name of a Slipway template; or give `ostemplate`, or both to override the template's."""
    ostemplate: str | None = None
    """A volume (`local:vztmpl/...`) or the start of an archive's name (`debian-12-standard`)."""
    cluster: str | None = None
    """Name or id; None takes the only one."""
    node: str | None = None
    vmid: int | None = None
    """None lets Slipway choose; the choice is provisional until the container exists."""
    cores: int | None = None
    cpulimit: float | None = None
    cpuunits: int | None = None
    memory: int | None = None
    swap: int | None = None
    disk: float | None = None
    """Root disk, GiB."""
    storage: str | None = None
    mounts: tuple[MountSpec, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    nameserver: str | None = None
    searchdomain: str | None = None
    ssh_public_keys: str | None = None
    unprivileged: bool | None = None
    features: Mapping[str, bool | str] = Field(default_factory=dict)
    """`nesting`, `keyctl`, `fuse`, `mknod`, `mount`, `force_rw_sys`."""
    onboot: bool | None = None
    startup: str | None = None
    protection: bool | None = None
    pool: str | None = None
    timezone: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    arch: str | None = None
    ostype: str | None = None
    cmode: str | None = None
    console: bool | None = None
    tty: int | None = None
    debug: bool | None = None
    hookscript: str | None = None
    bwlimit: float | None = None
    entrypoint: str | None = None
    env: Mapping[str, str] = Field(default_factory=dict)
    on_failure: OnFailure = OnFailure.KEEP
    variables: Mapping[str, str] = Field(default_factory=dict)
    """Values for the template's variables; secret ones travel sealed, beside the spec."""
    packages: tuple[PackageSpec, ...] = ()
    """In addition to the template's."""
    scripts: tuple[str, ...] | None = None
    """Names of the template's scripts to run, in this order; None runs all."""


class DiscoveredService(Value):
    """Something in the guest that listens or runs."""

    name: str
    kind: str = "systemd"
    """`systemd` or `process`."""
    status: str = "running"
    """`running`; `stopped` with its container."""
    is_system: bool = False
    port: int | None = None
    protocol: str = "tcp"
    url: str | None = None


class CredentialRef(Value):
    """That a credential exists; its value needs a reveal."""

    id: Id
    name: str
    """`nginx/password`, `root/password`."""


class Container(Value):
    """A container as Slipway knows it."""

    id: Id
    vmid: int
    hostname: str
    cluster: str
    """The cluster's name."""
    cluster_id: Id
    node: str
    template: str | None = None
    template_version: str | None = None
    lifecycle: Lifecycle
    power: Power = Power.UNKNOWN
    observed_at: Moment | None = None
    """Of the last change of its power."""
    looked_at: Moment | None = None
    """When it was last seen on its host; None if that is not known."""
    outage: Outage | None = None
    """Why it can't be looked at now: what is wrong with its cluster or its node."""
    address: str | None = None
    """None while it is stopped, or if it has none."""
    spec: ContainerSpec
    """What holds on the host, as it was read last."""
    pending: Mapping[str, PendingChange] = Field(default_factory=dict)
    """What changes at its next start, by Proxmox's name of the setting."""
    services: tuple[DiscoveredService, ...] = ()
    credentials: tuple[CredentialRef, ...] = ()
    warnings: tuple[str, ...] = ()
    """`discovery-pending` and the like."""
    job: Id | None = None
    """The job that works on it now."""
    is_forgotten: bool = False
    """Whether it was dropped without a deletion; it comes back when it is seen on its host."""
    created_at: Moment
    updated_at: Moment


class JobRef(Value):
    """The job in a 202."""

    id: Id


class ContainerRef(Value):
    """The container in a 202."""

    id: Id
    vmid: int
    hostname: str
    is_provisional: bool = False
    """The VMID may still change if someone else takes it first."""


class Accepted(Value):
    """A change has been accepted as a job."""

    job: JobRef
    container: ContainerRef


class ContainerPage(Value):
    """Some containers, and where to go on."""

    items: tuple[Container, ...]
    next: str | None = None


class CreateContainer(Query[Accepted]):
    """Create a container: checks the rules, claims name and VMID, writes the job."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.container.create"
    timeout: ClassVar[timedelta] = timedelta(seconds=10)
    spec: ContainerSpec
    password: Sealed | None = None
    """Root's, sealed to inventory (owner `container-create`, field `password`)."""
    secret_variables: Mapping[str, Sealed] = Field(default_factory=dict)
    """Owner `container-create`, field = the variable's name."""


class ForgetContainer(Query[Container]):
    """Drop a container whose host is gone, without touching the host; undone when it is seen there again."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.container.forget"
    timeout: ClassVar[timedelta] = timedelta(seconds=6)
    container: Id


class GetContainer(Query[Container]):
    """One container, by id."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.container.get"
    container: Id


class ListContainers(Query[ContainerPage]):
    """Containers, oldest first unless another order is wanted."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.container.list"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None
    q: str | None = None
    """Part of hostname, template or tag, or a VMID."""
    warning: str | None = None
    """Only those with this warning (monitor looks for `discovery-pending` and `config-unread`)."""
    cluster: str | None = None
    """Only those of this cluster, by name or id."""
    node: str | None = None
    template: str | None = None
    tag: str | None = None
    """Only those with this very tag."""
    lifecycle: tuple[Lifecycle, ...] = ()
    """Only those in one of these; none means any. Deleted ones are never listed."""
    power: tuple[Power, ...] = ()
    """Only those with one of these; none means any."""
    sort: ContainerSort = ContainerSort.CREATED


class DeleteContainer(Query[Accepted]):
    """Delete a container: a job."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.container.delete"
    container: Id


class Revealed(Value):
    """A credential, sealed to the gateway (owner = credential id, field `value`)."""

    id: Id
    name: str
    value: Sealed


class RevealCredential(Query[Revealed]):
    """Show a credential; audited."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.credential.reveal"
    container: Id
    credential: Id


class DiscoveredCredential(Value):
    """A credential found in a guest, sealed to inventory (owner = container id, field = name)."""

    name: str
    value: Sealed


class StoredDiscovery(Value):
    """What inventory made of it."""

    services: int
    credentials: int


class StoreDiscovery(Query[StoredDiscovery]):
    """What monitor found in a guest; replaces what was known."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.discovery.store"
    container: Id
    address: str | None = None
    services: tuple[DiscoveredService, ...] = ()
    credentials: tuple[DiscoveredCredential, ...] = ()
    is_settled: bool = True
    """False while the guest still starts, or has no address that it should have: it is looked at again."""


class ContainerRegistered(Event):
    """A container was accepted for creation."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.registered"
    id: Id
    vmid: int
    hostname: str
    cluster: Id
    job: Id


class ContainerReady(Event):
    """A container's creation succeeded."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.ready"
    id: Id
    vmid: int
    hostname: str
    cluster: Id


class ContainerFailed(Event):
    """A container's creation failed or was cancelled."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.failed"
    id: Id
    vmid: int
    hostname: str
    cluster: Id
    code: str


class ContainerDeleted(Event):
    """A container is gone; its name and VMID are free."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.deleted"
    id: Id
    vmid: int
    hostname: str
    cluster: Id


class ContainerForgotten(Event):
    """A container was dropped without a deletion; its name and VMID are free here."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.forgotten"
    id: Id
    vmid: int
    hostname: str
    cluster: Id


class ContainerFound(Event):
    """A forgotten container was seen on its host and is stored again, as it was before."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.found"
    id: Id
    vmid: int
    hostname: str
    cluster: Id
    node: str


class ContainerChanged(Event):
    """A container's power, node or config changed, or its deletion failed; who reads it reads the new one."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.changed"
    id: Id
    power: Power
    observed_at: Moment


class ContainerDiscovered(Event):
    """Services of a container were stored anew; credentials never travel by event."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.discovered"
    id: Id
    address: str | None = None
    services: tuple[DiscoveredService, ...] = ()
