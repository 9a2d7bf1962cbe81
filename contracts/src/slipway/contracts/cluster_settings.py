"""Settings of a cluster that an admin makes: limits of its containers, and defaults of new ones."""

from typing import ClassVar

from slipway.contracts.container_specs import GuestSettings
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


class SiteDefaults(GuestSettings):
    """What a new container of a cluster has where its request says nothing; empty is Slipway's own choice."""

    storage: str | None = None
    """Of its root disk."""
    bridge: str | None = None
    """Of each network device that names none."""
    vlan: int | None = None
    """Tag of each network device that names neither bridge nor tag; a request's tag 0 is none."""
    tags: tuple[str, ...] = ()
    """In addition to those of template and request."""
    ssh_public_keys: str | None = None
    """Root's, as in `authorized_keys`, of a container whose request has none."""
    nameserver: str | None = None
    """Addresses of DNS servers, with blanks, commas or semicolons between two; `searchdomain` alike."""
    searchdomain: str | None = None
    timezone: str | None = None
    """`Europe/Berlin`, or `host`."""


NO_DEFAULTS = SiteDefaults()
"""Those of a cluster for which no admin has set any."""


class GetSiteDefaults(Query[SiteDefaults]):
    """What new containers of a cluster have where their requests say nothing."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.defaults"
    cluster: str
    """Id or name."""


class SetSiteDefaults(Query[SiteDefaults]):
    """Set what new containers of a cluster have where their requests say nothing."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.set-defaults"
    cluster: str
    """Id or name."""
    defaults: SiteDefaults
