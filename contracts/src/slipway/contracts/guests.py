"""Guests as monitor sees them: live status, and discovery on demand."""

from datetime import timedelta
from typing import ClassVar

from slipway.contracts.containers import DiscoveredService
from slipway.contracts.message import Event, Id, Moment, Query, Value
from slipway.contracts.values import Power


class GuestStatus(Value):
    """One guest as of its last observation; the value in the KV bucket `live` under its id."""

    id: Id
    """`<cluster id>-<vmid>`."""
    cluster: Id
    node: str
    vmid: int
    name: str
    power: Power
    uptime_seconds: int = 0
    cpu: float = 0.0
    """Share of its cores, 0 to 1."""
    memory_bytes: int = 0
    memory_max_bytes: int = 0
    disk_bytes: int = 0
    disk_max_bytes: int = 0
    lock: str | None = None
    tags: tuple[str, ...] | None = None
    """None if it was not said."""
    observed_at: Moment


class GuestChanged(Event):
    """A guest appeared or was started again, or its power, node, name, lock, tags or memory changed."""

    subject: ClassVar[str] = "slipway.v1.event.guest.{id}.changed"
    id: Id
    status: GuestStatus


class GuestGone(Event):
    """A guest that was seen before is not in the cluster any more."""

    subject: ClassVar[str] = "slipway.v1.event.guest.{id}.gone"
    id: Id
    cluster: Id
    vmid: int
    at: Moment


class Discovery(Value):
    """What discovery found and inventory stored."""

    address: str | None = None
    services: tuple[DiscoveredService, ...] = ()
    credentials: tuple[str, ...] = ()
    """Names only."""
    is_settled: bool = True
    """False while the guest still starts, or an address that it should have may still come."""


class DiscoverGuest(Query[Discovery]):
    """Look into a guest now; answered after inventory has stored what was found."""

    subject: ClassVar[str] = "slipway.v1.query.monitor.guest.discover"
    timeout: ClassVar[timedelta] = timedelta(seconds=20)
    container: Id
    cluster: Id
    node: str
    vmid: int
    is_ahead: bool = False
    """Only get ready, since the question itself comes soon; answered at once, with nothing found."""
