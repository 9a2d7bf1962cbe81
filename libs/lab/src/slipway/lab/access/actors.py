"""Who may do what: users, tokens and the access list.

Here: privileges on paths, with Proxmox' refusals. Not here: how someone proves who he is (`tickets`).
Invariant: a few acts are only for `root@pam` with a ticket; not even a root token may (PVE 9.2, observed).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from slipway.lab.problems import not_permitted

Acl = Mapping[str, frozenset[str]]
"""Privileges by path. A deeper entry replaces those above it, as roles do in Proxmox."""

VM_PRIVILEGES = frozenset(
    f"VM.{name}"
    for name in [
        "Allocate",
        "Audit",
        "Backup",
        "Clone",
        "Config.CDROM",
        "Config.CPU",
        "Config.Cloudinit",
        "Config.Disk",
        "Config.HWType",
        "Config.Memory",
        "Config.Network",
        "Config.Options",
        "Console",
        "GuestAgent.Audit",
        "GuestAgent.FileRead",
        "GuestAgent.FileSystemMgmt",
        "GuestAgent.FileWrite",
        "GuestAgent.Unrestricted",
        "Migrate",
        "PowerMgmt",
        "Replicate",
        "Snapshot",
        "Snapshot.Rollback",
    ]
)
ALL_PRIVILEGES = VM_PRIVILEGES | frozenset(
    [
        "Datastore.Allocate",
        "Datastore.AllocateSpace",
        "Datastore.AllocateTemplate",
        "Datastore.Audit",
        "Group.Allocate",
        "Mapping.Audit",
        "Mapping.Modify",
        "Mapping.Use",
        "Permissions.Modify",
        "Pool.Allocate",
        "Pool.Audit",
        "Realm.Allocate",
        "Realm.AllocateUser",
        "SDN.Allocate",
        "SDN.Audit",
        "SDN.Use",
        "Sys.AccessNetwork",
        "Sys.Audit",
        "Sys.Console",
        "Sys.Incoming",
        "Sys.Modify",
        "Sys.PowerMgmt",
        "Sys.Syslog",
        "User.Modify",
    ]
)
ROOT_NAME = "root@pam"
ROOT_ACL: Acl = dict.fromkeys(
    ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"), ALL_PRIVILEGES
)
_OF_GUESTS = (
    *("Allocate", "Audit", "Backup", "Clone", "Migrate", "PowerMgmt", "Snapshot", "Snapshot.Rollback"),
    *("Config.CPU", "Config.Disk", "Config.Memory", "Config.Network", "Config.Options"),
)
SERVICE_ACL: Acl = {
    "/": frozenset({"Sys.Audit"}),
    "/vms": frozenset(f"VM.{name}" for name in _OF_GUESTS),
    "/storage": frozenset({"Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"}),
    "/sdn": frozenset({"SDN.Audit", "SDN.Use"}),
    "/pool": frozenset({"Pool.Audit"}),
}
"""What a control plane needs and no more (PVE 9.2, observed: all of its calls pass with these).

`infra/proxmox/make-token.sh` gives the same.
"""


_GUEST = re.compile(r"/vms/([1-9]\d{2,8})")


def _no_pool(_vmid: int) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A user with a ticket, or a token."""

    user: str
    token: str | None
    acl: Acl
    pool_of: Callable[[int], str | None] = _no_pool
    """The pool of a guest: what is held on it is held on the guest too (PVE::AccessControl)."""

    def in_pool(self, pool: str | None) -> "Actor":
        """Return the actor as he creates a guest in a pool, where it will be."""
        return self if pool is None else replace(self, pool_of=lambda _: pool)

    @property
    def name(self) -> str:
        """The name that tasks carry: `svc@pve!name` for a token."""
        return f"{self.user}!{self.token}" if self.token else self.user

    @property
    def is_root(self) -> bool:
        """Whether this is root himself; a root token is not."""
        return self.user == ROOT_NAME and self.token is None

    def privileges(self, path: str) -> frozenset[str]:
        """Return the privileges on a path."""
        if self.is_root:
            return ALL_PRIVILEGES
        guest = _GUEST.fullmatch(path)
        pool = self.pool_of(int(guest[1])) if guest else None
        return self._on(path) | (self._on(f"/pool/{pool}") if pool else frozenset())

    def _on(self, path: str) -> frozenset[str]:
        while path not in self.acl:
            if path in ("/", ""):
                return frozenset()
            path = path.rpartition("/")[0] or "/"
        return self.acl[path]

    def may(self, path: str, *privileges: str) -> bool:
        """Return whether all the privileges are held on a path."""
        return self.privileges(path).issuperset(privileges)

    def may_any(self, path: str, privileges: Sequence[str]) -> bool:
        """Return whether one of the privileges is held."""
        return not self.privileges(path).isdisjoint(privileges)

    def require(self, path: str, *privileges: str) -> None:
        """Refuse unless all the privileges are held."""
        if not self.may(path, *privileges):
            raise not_permitted(f"{path}, {', '.join(privileges)}")

    def require_any(self, path: str, privileges: Sequence[str]) -> None:
        """Refuse unless one of the privileges is held."""
        if not self.may_any(path, privileges):
            raise not_permitted(f"{path}, {'|'.join(privileges)}")

    def require_root(self, act: str) -> None:
        """Refuse what only root himself may."""
        if not self.is_root:
            raise not_permitted(f"{act} is only allowed for root@pam")


def root() -> Actor:
    """Return root, who acts when nobody asked: at boot and over SSH."""
    return Actor(user=ROOT_NAME, token=None, acl=ROOT_ACL)
