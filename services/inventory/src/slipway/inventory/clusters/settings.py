"""Settings of clusters: what their containers may use of the hosts, and what new ones have by default."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_settings import (
    ClusterLimits,
    GetClusterLimits,
    GetSiteDefaults,
    SetClusterLimits,
    SetSiteDefaults,
    SiteDefaults,
)
from slipway.inventory.clusters.settings_rules import normal_defaults, normal_limits
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

    async def defaults(self, query: GetSiteDefaults, _call: Call) -> SiteDefaults:
        """Return what a cluster's new containers have where their requests say nothing."""
        return (await self.store.stored(query.cluster)).site_defaults

    async def set_defaults(self, query: SetSiteDefaults, call: Call) -> SiteDefaults:
        """Set it."""
        nodes = (await self.store.stored(query.cluster)).nodes
        site = normal_defaults(query.defaults, nodes)
        return await self.unit.run(call, lambda tx: decide_defaults(tx, query.cluster, site))


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


async def decide_defaults(tx: AsyncConnection, cluster: str, site: SiteDefaults) -> Decision[SiteDefaults]:
    """Store what a cluster's new containers have where their requests say nothing."""
    row = await find_cluster(tx, cluster, for_update=True)
    before = SiteDefaults.model_validate(row.site_defaults)
    changed = [name for name, value in site if value != getattr(before, name)]
    details = {
        "name": row.name,
        "changed": ", ".join(changed) or "nothing",
        "set": ", ".join(name for name, value in site if value) or "nothing",
    }
    return Decision(
        reply=site,
        writes=[update_cluster(row.id, site_defaults=site.model_dump(mode="json"))],
        audit=[AuditNote(action="cluster.defaults", target=row.id, details=details)],
    )
