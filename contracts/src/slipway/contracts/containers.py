"""Containers: how they are created, read and deleted, and what a look into the guest stores.

Who sends a `CreateContainer` has no more rights than its actor; the rules are inventory's.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.message import Id, Moment, Query, Value
from slipway.contracts.values import (
    ContainerSort,
    ContainerView,
    Lifecycle,
    Outage,
    PendingChange,
    Power,
    Sealed,
)


class DiscoveredService(Value):
    """Something in the guest that listens or runs."""

    name: str
    kind: str = "systemd"
    """`systemd` or `openrc`, which run it; `process` if neither does."""
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
    cluster: str = ""
    """The name of its cluster: hostnames and VMIDs repeat from cluster to cluster."""
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
    """A search like `tag:web node:pve1 status:running shop`; all other fields hold beside it."""
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
    view: ContainerView = ContainerView.FULL
    """The answer to a summary is no `ContainerPage`: its items lack what the view leaves out."""


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
    """What inventory has stored of a discovery."""

    services: int
    credentials: int


class StoreDiscovery(Query[StoredDiscovery]):
    """Store the result of a look into a guest, in place of the one before."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.discovery.store"
    container: Id
    address: str | None = None
    services: tuple[DiscoveredService, ...] = ()
    credentials: tuple[DiscoveredCredential, ...] = ()
    is_settled: bool = True
    """False while the guest still starts, or an address that it should have may still come: it is looked at
    again."""
    has_addresses: bool = False
    """Whether it has one of each IP version that its config asks for."""
    config: HostConfig | None = None
    """Its config, read just before; None is not read, or not complete."""
