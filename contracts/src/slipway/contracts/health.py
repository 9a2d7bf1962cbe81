"""The health of a service, which the gateway asks for to report the parts that are away."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Query, Value


class Health(Value):
    """What a service lacks, as its own `/readyz` says."""

    missing: Mapping[str, str] = Field(default_factory=dict)
    """Without it the service can do nothing: what (`postgres`), and why."""
    degraded: Mapping[str, str] = Field(default_factory=dict)
    """What limits it: the code of a problem (`bus.full`), and why."""


class _GetHealth(Query[Health]):
    timeout: ClassVar[timedelta] = timedelta(seconds=4)


class GetInventoryHealth(_GetHealth):
    """The health of inventory."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.health.get"


class GetProvisionerHealth(_GetHealth):
    """The health of the provisioner."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.health.get"


class GetMonitorHealth(_GetHealth):
    """The health of monitor."""

    subject: ClassVar[str] = "slipway.v1.query.monitor.health.get"


class GetCatalogHealth(_GetHealth):
    """The health of the catalog."""

    subject: ClassVar[str] = "slipway.v1.query.catalog.health.get"


HEALTH_OF: Mapping[str, type[Query[Health]]] = {
    "inventory": GetInventoryHealth,
    "provisioner": GetProvisionerHealth,
    "monitor": GetMonitorHealth,
    "catalog": GetCatalogHealth,
}
"""Which services are asked, and how."""
