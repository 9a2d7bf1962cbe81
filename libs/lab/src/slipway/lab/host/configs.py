"""Containers' configurations, as `/etc/pve/lxc` keeps them: one small file each, in the data folder.

Here: reading, writing, digests, locks in the file (`lock:`) and the flock beside it. Not here: what the
options mean (`options`), when what waits is applied (`pending`, `change`), what guests do. Invariant: a file
holds only texts that a real node would store, so that a config read back is never the string that was sent:
tags are sorted, networks completed.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from slipway.lab.host import records
from slipway.lab.host.condition import Condition
from slipway.lab.problems import Refused, no_config
from slipway.lab.schema.calls import OPTIONS
from slipway.lab.schema.parameters import find

Config = dict[str, str]
Pending = Mapping[str, str | None]
"""Changes that wait for the next start; None removes the option."""

LOWEST_VMID = 100
HIGHEST_VMID = 1_000_000


class Configs:
    """All containers of the node."""

    def __init__(self, folder: Path, condition: Condition) -> None:
        self._folder = folder
        self._condition = condition
        self._configs: dict[int, Config] = {}
        self._pending: dict[int, Pending] = {}
        self._flocks: dict[int, asyncio.Lock] = {}

    def load(self) -> None:
        """Take over what a predecessor left."""
        for path in self._folder.glob("[0-9]*.json"):
            stored = records.read_json(path)
            self._pending[int(path.stem)] = stored.pop("pending", {})
            self._configs[int(path.stem)] = stored

    def __contains__(self, vmid: int) -> bool:
        return vmid in self._configs

    def vmids(self) -> list[int]:
        """All, lowest first."""
        return sorted(self._configs)

    def get(self, vmid: int) -> Config:
        """Copy one; refuse as Proxmox does if there is none."""
        if vmid not in self._configs:
            raise no_config(self._condition.name, vmid)
        return dict(self._configs[vmid])

    def pending(self, vmid: int) -> dict[str, str | None]:
        """Copy what waits for the next start of one."""
        return dict(self._pending.get(vmid, {}))

    def put(self, vmid: int, config: Mapping[str, str], pending: Pending | None = None) -> None:
        """Store one; what waits goes on waiting unless something else is given."""
        self._configs[vmid] = dict(config)
        if pending is not None:
            self._pending[vmid] = dict(pending)
        waiting = {"pending": self.pending(vmid)} if self.pending(vmid) else {}
        records.write_json(self._folder / f"{vmid}.json", self._configs[vmid] | waiting)

    def digest(self, vmid: int) -> str:
        """Hash what is stored of one, with what waits; a change made against an older digest is refused."""
        return digest(self.get(vmid), self.pending(vmid))

    def check_digest(self, vmid: int, expected: str | None) -> None:
        """Refuse a change that was made against another state."""
        if expected and expected != self.digest(vmid):
            raise Refused("detected modified configuration - file changed by other user? Try again.")

    def remove(self, vmid: int) -> None:
        """Forget one."""
        self._configs.pop(vmid, None)
        self._pending.pop(vmid, None)
        (self._folder / f"{vmid}.json").unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def flock(self, vmid: int, wait: float) -> AsyncIterator[None]:
        """Hold the container's flock; one holder at a time, others wait and then give up."""
        lock = self._flocks.setdefault(vmid, asyncio.Lock())
        try:
            async with asyncio.timeout(wait):
                await lock.acquire()
        except TimeoutError as error:
            path = f"/run/lock/lxc/pve-config-{vmid}.lock"
            raise Refused(f"can't lock file '{path}' - got timeout") from error
        try:
            yield
        finally:
            lock.release()


def digest(config: Mapping[str, str], pending: Pending) -> str:
    """Hash a config."""
    lines = [f"{key}: {value}" for key, value in sorted(config.items())]
    lines += [f"{key}: {value}" for key, value in sorted(pending.items())]
    return hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


def shown(config: Mapping[str, str], hashed: str) -> dict[str, str | int]:
    """Show a config as the API does: numbers as numbers, with its digest."""
    return {key: shown_value(key, value) for key, value in config.items()} | {"digest": hashed}


def check_lock(config: Mapping[str, str]) -> None:
    """Refuse while something holds the lock in the config."""
    if lock := config.get("lock"):
        raise Refused(f"CT is locked ({lock})")


def shown_value(key: str, value: str) -> str | int:
    """Show a value as the API does: whole numbers and flags as numbers."""
    parameter = find(OPTIONS, key)
    is_whole = parameter is not None and parameter.kind in ("integer", "boolean")
    return int(value) if is_whole else value
