"""Pools: named sets of guests and storages of the cluster, which rights can be given on."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slipway.lab.host import records
from slipway.lab.problems import Refused


@dataclass(slots=True, kw_only=True)
class Pool:
    """One pool."""

    poolid: str
    comment: str | None = None
    vmids: list[int] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Show it in a list; no comment is left out."""
        return {"poolid": self.poolid} | ({} if self.comment is None else {"comment": self.comment})


class Pools:
    """All pools of the cluster, stored in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pools = {one["poolid"]: Pool(**one) for one in records.read_json(path) or ()}

    def __contains__(self, poolid: str) -> bool:
        return poolid in self._pools

    def all(self) -> list[Pool]:
        """Return all, by name."""
        return [self._pools[poolid] for poolid in sorted(self._pools)]

    def get(self, poolid: str) -> Pool:
        """Look one up."""
        if poolid not in self._pools:
            raise Refused(f"pool '{poolid}' does not exist")
        return self._pools[poolid]

    def of_guest(self, vmid: int) -> str | None:
        """Return the name of the pool that a guest is in."""
        return next((one.poolid for one in self._pools.values() if vmid in one.vmids), None)

    def create(self, poolid: str, comment: str | None) -> None:
        """Make an empty one."""
        if poolid in self._pools:
            raise Refused(f"create pool failed: pool '{poolid}' already exists")
        parent = poolid.rpartition("/")[0]
        if parent and parent not in self._pools:
            raise Refused(f"create pool failed: parent '{parent}' of pool '{poolid}' does not exist")
        self._pools[poolid] = Pool(poolid=poolid, comment=comment)
        self._save()

    def remove(self, poolid: str) -> None:
        """Remove an empty one."""
        pool = self.get(poolid)
        below = next((one for one in sorted(self._pools) if one.startswith(f"{poolid}/")), None)
        if below is not None:
            raise Refused(f"delete pool failed: pool '{poolid}' is not empty (contains pool '{below}')")
        if pool.vmids or pool.storages:
            kind = "contains VMs" if pool.vmids else "contains storage"
            raise Refused(f"delete pool failed: pool '{poolid}' is not empty ({kind})")
        del self._pools[poolid]
        self._save()

    def add_guest(self, poolid: str, vmid: int) -> None:
        """Put a guest into one, out of any other."""
        pool = self.get(poolid)
        self.forget_guest(vmid)
        pool.vmids.append(vmid)
        self._save()

    def forget_guest(self, vmid: int) -> None:
        """Take a guest out of its pool."""
        for pool in self._pools.values():
            pool.vmids = [one for one in pool.vmids if one != vmid]
        self._save()

    def change(self, poolid: str, *, comment: str | None, storages: list[str], removes: bool) -> None:
        """Change the comment, and add or remove storages."""
        pool = self.get(poolid)
        pool.comment = pool.comment if comment is None else comment
        others = [one for one in pool.storages if one not in storages]
        pool.storages = others if removes else sorted({*others, *storages})
        self._save()

    def _save(self) -> None:
        records.write_json(self._path, [asdict(one) for one in self._pools.values()])
