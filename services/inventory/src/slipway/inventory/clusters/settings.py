"""Settings of clusters: what their containers may use of the hosts."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_settings import ClusterLimits, GetClusterLimits, SetClusterLimits
from slipway.inventory.clusters.settings_rules import normal_limits
from slipway.inventory.clusters.store import ClusterStore, find_cluster, update_cluster
from slipway.inventory.decision import AuditNote, Decision
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettingsHandlers:
    """Answers about the settings of clusters."""

    unit: UnitOfWork
    store: ClusterStore

    async def limits(self, query: GetClusterLimits, _call: Call) -> ClusterLimits:
        """Return what a cluster's containers may use of its hosts."""
        return (await self.store.stored(query.cluster)).limits

    async def set_limits(self, query: SetClusterLimits, call: Call) -> ClusterLimits:
        """Set it."""
        limits = normal_limits(query.limits)
        return await self.unit.run(call, lambda tx: decide_limits(tx, query.cluster, limits))


async def decide_limits(tx: AsyncConnection, cluster: str, limits: ClusterLimits) -> Decision[ClusterLimits]:
    """Store what a cluster's containers may use of its hosts; existing ones keep what they have."""
    row = await find_cluster(tx, cluster, for_update=True)
    details = {
        "name": row.name,
        "restricted_keys": "allowed" if limits.restricted_keys else "refused",
        "mount_paths": ", ".join(limits.mount_paths) or "none",
    }
    return Decision(
        reply=limits,
        writes=[update_cluster(row.id, limits=limits.model_dump(mode="json"))],
        audit=[AuditNote(action="cluster.limits", target=row.id, details=details)],
    )
