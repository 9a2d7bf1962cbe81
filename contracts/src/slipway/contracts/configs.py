"""A container's config as its host holds it: read back after jobs, and when others changed something."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from slipway.contracts.container_specs import ContainerSettings
from slipway.contracts.message import Done, Id, Moment, Query
from slipway.contracts.values import PendingChange, Power


class HostConfig(ContainerSettings):
    """What holds now, in the words of `ContainerSpec`; None is what the config leaves to Proxmox.

    What Proxmox keeps for the next start is in `pending` only.
    """

    read_at: Moment
    """Just before it was asked for; of two the later one counts."""
    power: Power | None = None
    """At the same look; None if it was not looked at."""
    started_at: Moment | None = None
    """Of a running one: the second before which it was not started; None if it does not run."""
    hostname: str | None = None
    pending: Mapping[str, PendingChange] = Field(default_factory=dict)
    """By Proxmox's name of the setting."""


class StoreConfig(Query[Done]):
    """A container's config was read again, since others may have changed it or started the container."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.config.store"
    container: Id
    config: HostConfig
