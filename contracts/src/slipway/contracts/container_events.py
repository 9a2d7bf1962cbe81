"""Container events: what became of a container."""

from typing import ClassVar

from slipway.contracts.containers import DiscoveredService
from slipway.contracts.message import Event, Id, Moment
from slipway.contracts.values import Power


class _ContainerEvent(Event):
    """A fact about a container, with what it is called."""

    id: Id
    vmid: int
    hostname: str
    cluster: Id


class ContainerRegistered(_ContainerEvent):
    """A container was accepted for creation."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.registered"
    job: Id


class ContainerReady(_ContainerEvent):
    """A container's creation succeeded."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.ready"


class ContainerFailed(_ContainerEvent):
    """A container's creation failed or was cancelled."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.failed"
    code: str


class ContainerDeleted(_ContainerEvent):
    """A container is gone; its name and VMID are free."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.deleted"


class ContainerForgotten(_ContainerEvent):
    """A container was dropped without a deletion; its name and VMID are free here."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.forgotten"


class ContainerFound(_ContainerEvent):
    """A forgotten container was seen on its host and is stored again, as it was before."""

    subject: ClassVar[str] = "slipway.v1.event.container.{id}.found"
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
