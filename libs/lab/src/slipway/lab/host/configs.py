"""Containers' configurations, as `/etc/pve/lxc` keeps them: one small file each, in the data folder.

Here: reading, writing, digests, locks in the file (`lock:`) and the flock beside it. Not here: what the
options mean (`options`), what guests do. Invariant: a file holds only texts that a real node would store,
so that a config read back is never the string that was sent: tags are sorted, networks completed.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from slipway.lab.host import records
from slipway.lab.problems import Refused, no_config
from slipway.lab.schema.container import OPTIONS
from slipway.lab.schema.parameters import find

Config = dict[str, str]

LOWEST_VMID = 100
HIGHEST_VMID = 1_000_000


class Configs:
    """All containers of the node."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self._node = node
        self._configs: dict[int, Config] = {}
        self._flocks: dict[int, asyncio.Lock] = {}

    def load(self) -> None:
        """Take over what a predecessor left."""
        for path in self._folder.glob("[0-9]*.json"):
            self._configs[int(path.stem)] = records.read_json(path)

    def __contains__(self, vmid: int) -> bool:
        return vmid in self._configs

    def vmids(self) -> list[int]:
        """All, lowest first."""
        return sorted(self._configs)

    def get(self, vmid: int) -> Config:
        """Copy one; refuse as Proxmox does if there is none."""
        if vmid not in self._configs:
            raise no_config(self._node, vmid)
        return dict(self._configs[vmid])

    def put(self, vmid: int, config: Mapping[str, str]) -> None:
        """Store one."""
        self._configs[vmid] = dict(config)
        records.write_json(self._folder / f"{vmid}.json", self._configs[vmid])

    def remove(self, vmid: int) -> None:
        """Forget one."""
        self._configs.pop(vmid, None)
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


def digest(config: Mapping[str, str]) -> str:
    """Hash a config; a change made against an older digest is refused."""
    lines = "".join(f"{key}: {value}\n" for key, value in sorted(config.items()))
    return hashlib.sha1(lines.encode(), usedforsecurity=False).hexdigest()


def shown(config: Mapping[str, str]) -> dict[str, str | int]:
    """Show a config as the API does: numbers as numbers, with its digest."""
    return {key: _shown_value(key, value) for key, value in config.items()} | {"digest": digest(config)}


def check_lock(config: Mapping[str, str]) -> None:
    """Refuse while something holds the lock in the config."""
    if lock := config.get("lock"):
        raise Refused(f"CT is locked ({lock})")


def check_digest(config: Mapping[str, str], expected: str | None) -> None:
    """Refuse a change that was made against another state."""
    if expected and expected != digest(config):
        raise Refused("detected modified configuration - file changed by other user? Try again.")


def _shown_value(key: str, value: str) -> str | int:
    parameter = find(OPTIONS, key)
    is_whole = parameter is not None and parameter.kind in ("integer", "boolean")
    return int(value) if is_whole else value
