"""Tiers of trust: how much a cluster lets Slipway do, and so what could be done with a stolen Slipway.

`TIERS` is the one source: the token script's roles, the connection test, `slipway access show` and
`docs/explanation/tiers.md` are made from it or compared with it. What each job kind needs stands in
`job_kinds`.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from types import MappingProxyType

from slipway.contracts.problems import Conflict


class Tier(StrEnum):
    """How much a cluster lets Slipway do; each tier includes the ones before it."""

    OBSERVE = "observe"
    """Read: a token with audit rights, no SSH."""
    OPERATE = "operate"
    """Power, snapshots and backups of containers that exist: by token, no SSH."""
    FULL = "full"
    """Everything: create, change and delete, work inside guests; by token and SSH."""

    def covers(self, needed: "Tier") -> bool:
        """Return whether what needs that tier may be done at this one."""
        order = tuple(Tier)
        return order.index(self) >= order.index(needed)

    @property
    def uses_ssh(self) -> bool:
        """Whether nodes are reached over SSH."""
        return self is Tier.FULL


class TierTooLow(Conflict):
    """The cluster's tier of trust does not include this."""

    code = "cluster.tier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft:
    """What somebody with all secrets of a Slipway could do to a cluster."""

    could: tuple[str, ...]
    could_not: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TierSpec:
    """Everything that is true of a tier."""

    tier: Tier
    summary: str
    """What Slipway does at it, in one sentence."""
    _: KW_ONLY
    privileges: Mapping[str, frozenset[str]]
    """Of the token, by path in Proxmox; exactly these."""
    theft: Theft
    """By the token; beside what is possible at the tiers before."""


BOUND = Theft(
    could=(
        "be root in each container within the limits of the SSH key, and delete it",
        "hand such a container the mount paths and devices that are listed",
        "read the disks of each container that the token may clone or restore, in a copy within the limits",
    ),
    could_not=(
        "run a command on a node, read or write its files, or forward a port",
        "touch a container out of the limits over SSH",
    ),
)
"""By an SSH key that is bound to the forced command of the token script."""
UNBOUND = Theft(could=("be root on the nodes by the SSH login, which is not bound: that is everything",))
"""By any other SSH login."""


def _privileges(vms: str, storage: str, sdn: str) -> Mapping[str, frozenset[str]]:
    of_guests = frozenset(f"VM.{name}" for name in vms.split())
    return MappingProxyType(
        {
            "/": frozenset({"Sys.Audit"}),
            "/vms": of_guests,
            "/storage": frozenset(f"Datastore.{name}" for name in storage.split()),
            "/sdn": frozenset(f"SDN.{name}" for name in sdn.split()),
            "/pool": frozenset({"Pool.Audit"}),
        }
    )


_SPECS = (
    TierSpec(
        Tier.OBSERVE,
        "Slipway shows nodes, guests, storages and what is wrong; it changes nothing and logs in nowhere.",
        privileges=_privileges("Audit", "Audit", "Audit"),
        theft=Theft(
            could=(
                "read names, configs, notes, addresses and load of every guest and node",
                "read which backups, archives, networks and pools there are",
            ),
            could_not=(
                "change, start or stop anything",
                "read what is inside guests, on disks or in backups",
                "log in to a node",
            ),
        ),
    ),
    TierSpec(
        Tier.OPERATE,
        "Slipway also starts and stops containers, takes snapshots and goes back to them, and makes backups.",
        privileges=_privileges(
            "Audit Backup PowerMgmt Snapshot Snapshot.Rollback", "AllocateSpace Audit", "Audit"
        ),
        theft=Theft(
            could=(
                "start and stop every guest, virtual machines included",
                "roll guests back to snapshots, and delete snapshots and backups: data is lost",
                "fill storages with snapshots and backups",
            ),
            could_not=(
                "create, change, move or delete a guest",
                "read what is inside guests, on disks or in backups",
                "log in to a node",
            ),
        ),
    ),
    TierSpec(
        Tier.FULL,
        "Slipway also creates, changes, moves and deletes containers, and works inside them over SSH.",
        privileges=_privileges(
            "Allocate Audit Backup Clone Config.CPU Config.Disk Config.Memory Config.Network Config.Options"
            " Migrate PowerMgmt Snapshot Snapshot.Rollback",
            "AllocateSpace AllocateTemplate Audit",
            "Audit Use",
        ),
        theft=Theft(
            could=("create, change, move and delete guests by the token: all, or those of its pool",),
        ),
    ),
)
TIERS: Mapping[Tier, TierSpec] = MappingProxyType({spec.tier: spec for spec in _SPECS})


def theft_at(tier: Tier, *, is_bound: bool) -> Theft:
    """Return what a stolen Slipway could do at a tier, that of the tiers before included.

    Args:
        tier: The cluster's.
        is_bound: Whether the SSH key is bound on every node that it opens; only tier full has one.
    """
    included = [spec.theft for spec in _SPECS if tier.covers(spec.tier)]
    if tier.uses_ssh:
        included.append(BOUND if is_bound else UNBOUND)
    could = tuple(text for theft in included for text in theft.could)
    return Theft(could=could, could_not=included[-1].could_not)
