"""What a form needs to know of a cluster: choices, the next VMID, and whether a name or number is free.

All of it is answered from what monitor saw last and what inventory has claimed; no question reaches a host.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from slipway.contracts.cluster_facts import (
    BridgeFact,
    DeviceFact,
    FolderFact,
    GpuFact,
    StorageFact,
    VmidRange,
    VnetFact,
)
from slipway.contracts.containers import JobRef
from slipway.contracts.message import Event, Id, Moment, Query, Value
from slipway.contracts.values import Outage


class OsTemplateFact(Value):
    """An OS template on a storage of a node."""

    volume: str
    """`local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`."""
    storage: str
    size_bytes: int | None = None
    package: str
    """`debian-12-standard`."""
    version: str = ""
    architecture: str | None = None
    """As its name says; None if it does not."""


class DownloadableFact(Value):
    """An OS template that a node can download."""

    name: str
    """Its archive: `debian-12-standard_12.7-1_amd64.tar.zst`."""
    package: str
    version: str = ""
    architecture: str | None = None
    is_there: bool = False
    """Whether the node has it already."""


class PoolFact(Value):
    """A pool; pools nest up to three levels."""

    name: str
    """With its parents: `team/web`."""
    parent: str | None = None


class NodeChoices(Value):
    """What can be chosen on a node."""

    node: str
    is_online: bool
    in_maintenance: bool = False
    architecture: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    storages: tuple[StorageFact, ...] = ()
    storages_for: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names of the active ones by content (`rootdir`, `vztmpl`, `backup`), the most free space first."""
    bridges: tuple[BridgeFact, ...] = ()
    os_templates: tuple[OsTemplateFact, ...] = ()
    downloadable: tuple[DownloadableFact, ...] = ()
    gpus: tuple[GpuFact, ...] = ()
    devices: tuple[DeviceFact, ...] = ()
    folders: tuple[FolderFact, ...] = ()
    looked_at: Mapping[str, Moment] = Field(default_factory=dict)
    """When each part was last answered; the parts are those of `NodeFacts.parts_at`."""
    unknown: Mapping[str, str] = Field(default_factory=dict)
    """Why parts are not known, or are only what was seen last."""


class FormFacts(Value):
    """Everything that a form for a new container of a cluster chooses from."""

    cluster: Id
    name: str
    nodes: tuple[NodeChoices, ...] = ()
    pools: tuple[PoolFact, ...] = ()
    knows_pools: bool = False
    """Whether `pools` are all that there are."""
    vnets: tuple[VnetFact, ...] = ()
    vmids: VmidRange
    """The VMIDs that Slipway chooses from."""
    next_vmid: int | None = None
    """The one that it would choose now; None if all are in use."""
    looked_at: Moment | None = None
    """When the cluster last answered about its guests."""
    outage: Outage | None = None


class GetFormFacts(Query[FormFacts]):
    """What can be chosen in a cluster, as it was seen last."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.facts"
    cluster: str
    """Id or name."""


class NextVmid(Value):
    """The VMID that a container would get now; it is not reserved."""

    vmid: int
    vmids: VmidRange
    """The ones that it was chosen from."""


class GetNextVmid(Query[NextVmid]):
    """The lowest VMID of a cluster's range that nothing has or claims."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.vmid.next"
    cluster: str
    """Id or name."""


class Holder(Value):
    """What has a VMID, a name or an address."""

    kind: Literal["container", "job", "guest", "node", "bridge"]
    """`guest`: one that Slipway does not manage. `job`: one that is about to give a container the name."""
    id: Id | None = None
    """Of the container or the job."""
    vmid: int | None = None
    name: str | None = None
    node: str | None = None


class Availability(Value):
    """Whether a new container can have a value."""

    value: str
    state: Literal["free", "taken", "invalid"]
    message: str = ""
    """What is wrong with it, or worth knowing."""
    remedy: str = ""
    by: Holder | None = None
    """What has it, if that is known."""


class Availabilities(Value):
    """Whether a new container can have the values that were asked about."""

    vmid: Availability | None = None
    hostname: Availability | None = None
    address: Availability | None = None
    looked_at: Moment | None = None
    """When the cluster last answered about its guests; claims are as they are now."""


class CheckAvailability(Query[Availabilities]):
    """Whether a VMID, a name and an address are free in a cluster, by claims and facts."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.availability"
    cluster: str
    """Id or name."""
    vmid: str | None = None
    """As somebody typed it, like the others."""
    hostname: str | None = None
    address: str | None = None
    """With or without a prefix length."""


class DownloadAccepted(Value):
    """The download of an OS template has been accepted as a job."""

    job: JobRef
    node: str
    volume: str
    """What it will be: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`."""


class DownloadOsTemplate(Query[DownloadAccepted]):
    """Download an OS template to a storage of a node, as a job."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.os-template.download"
    cluster: str
    """Id or name."""
    template: str
    """Its archive, or the beginning of its name: then the newest for the node's architecture."""
    node: str | None = None
    """None takes the first that offers it."""
    storage: str | None = None
    """None takes the node's storage for OS templates with the most free space."""


class FactsRequested(Event):
    """Somebody wants the facts of a cluster read anew, also those that seldom change."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.facts-requested"
    id: Id


class FactsRequestAccepted(Value):
    """The facts of a cluster are read anew; each part's age shows when that is done."""

    cluster: Id
    is_new: bool = True
    """False: they were requested within the last minute, and are not read once more."""


class RequestFacts(Query[FactsRequestAccepted]):
    """Have the facts of a cluster read anew, once a minute at most."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.request-facts"
    cluster: str
    """Id or name."""
