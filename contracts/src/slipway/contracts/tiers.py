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


@dataclass(frozen=True, slots=True)
class TierSpec:
    """Everything that is true of a tier."""

    tier: Tier
    summary: str
    """What Slipway does at it, in one sentence."""
    _: KW_ONLY
    privileges: Mapping[str, frozenset[str]]
    """Of the token, by path in Proxmox; exactly these."""
    stolen: tuple[str, ...]
    """What could be done with a stolen Slipway and all its secrets, beside that of the tiers before."""
    not_stolen: tuple[str, ...]
    """What could not."""


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
        stolen=(
            "read names, configs, notes, addresses and load of every guest and node in Proxmox",
            "read which backups, archives, networks and pools there are",
        ),
        not_stolen=(
            "change, start or stop anything in Proxmox",
            "read what is inside guests, on disks or in backups",
            "log in to a node",
        ),
    ),
    TierSpec(
        Tier.OPERATE,
        "Slipway also starts and stops containers, takes and restores snapshots, and makes backups.",
        privileges=_privileges(
            "Audit Backup PowerMgmt Snapshot Snapshot.Rollback", "AllocateSpace Audit", "Audit"
        ),
        stolen=(
            "start and stop every guest of the cluster, virtual machines included",
            "roll a guest back to a snapshot, and delete its snapshots and backups: data is lost",
            "fill storages with snapshots and backups",
        ),
        not_stolen=(
            "create, change, move or delete a guest",
            "read what is inside guests, on disks or in backups",
            "log in to a node",
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
        stolen=(
            "create, change, move and delete guests by the token: all of the cluster, or those of its POOL",
            "with a bound SSH key: be root in each container within its limits, and delete it",
            "with a bound SSH key: hand such a container the mount paths and devices that are listed",
            "with an SSH key that is not bound, or a password: be root on the nodes, which is everything",
        ),
        not_stolen=(
            "with a bound SSH key: run a command on a node, read or write its files, or forward a port",
            "with a bound SSH key: touch a container out of its limits over SSH",
        ),
    ),
)
TIERS: Mapping[Tier, TierSpec] = MappingProxyType({spec.tier: spec for spec in _SPECS})
