"""The health of a service, which the gateway asks for to report the parts that are away."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Query, Value


class Health(Value):
    """What a service lacks, as its own `/readyz` says."""

    missing: Mapping[str, str] = Field(default_factory=dict)
    """Without it the service can do nothing: what (`postgres`), and why."""
    degraded: Mapping[str, str] = Field(default_factory=dict)
    """What limits it: the code of a problem (`bus.full`), and why."""


class GetInventoryHealth(Query[Health]):
    """How inventory is."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.health.get"
    timeout: ClassVar[timedelta] = timedelta(seconds=4)


class GetProvisionerHealth(Query[Health]):
    """How the provisioner is."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.health.get"
    timeout: ClassVar[timedelta] = timedelta(seconds=4)


class GetMonitorHealth(Query[Health]):
    """How monitor is."""

    subject: ClassVar[str] = "slipway.v1.query.monitor.health.get"
    timeout: ClassVar[timedelta] = timedelta(seconds=4)


class GetCatalogHealth(Query[Health]):
    """How the catalog is."""

    subject: ClassVar[str] = "slipway.v1.query.catalog.health.get"
    timeout: ClassVar[timedelta] = timedelta(seconds=4)


HEALTH_OF: Mapping[str, type[Query[Health]]] = MappingProxyType(
    {
        "inventory": GetInventoryHealth,
        "provisioner": GetProvisionerHealth,
        "monitor": GetMonitorHealth,
        "catalog": GetCatalogHealth,
    }
)
"""Which services are asked, and how."""
