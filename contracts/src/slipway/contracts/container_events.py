"""Container events: what became of a container."""

from typing import ClassVar

from slipway.contracts.containers import DiscoveredService
from slipway.contracts.message import Event, Id, Moment
from slipway.contracts.values import (
    Power,
)


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
