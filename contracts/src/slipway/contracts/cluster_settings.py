"""Settings of a cluster that an admin makes: how far containers may reach into its hosts."""

from typing import ClassVar

from slipway.contracts.message import Query, Value


class ClusterLimits(Value):
    """What containers of a cluster may use of their hosts; nothing unless an admin allows it."""

    restricted_keys: bool = False
    """Whether containers may have bind mounts, devices, hookscripts and the features `mknod`, `mount` and
    `force_rw_sys`. Each can amount to root on the host."""
    mount_paths: tuple[str, ...] = ()
    """Host paths below which a bind mount may begin; none allows no bind mount. Links on the host are
    followed before the check."""


DENIED = ClusterLimits()
"""The limits of a cluster for which no admin has allowed anything."""


class GetClusterLimits(Query[ClusterLimits]):
    """What containers of a cluster may use of their hosts."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.limits"
    cluster: str
    """Id or name."""


class SetClusterLimits(Query[ClusterLimits]):
    """Set what containers of a cluster may use of their hosts; containers that exist keep what they have."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.set-limits"
    cluster: str
    """Id or name."""
    limits: ClusterLimits
