"""What monitor saw last: a value per cluster from the bus, held in memory and joined to what is answered.

After a start it is read from the bus; until then nothing is claimed. Values come at the pace of the polls;
one that stays away is itself an outage.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from slipway.contracts.cluster_facts import ClusterLook
from slipway.contracts.clusters import Cluster, ClusterPage
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import Outage
from slipway.inventory.containers import sight
from slipway.inventory.containers.documents import container_document
from slipway.inventory.containers.sight import Sight
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket, Entry
from slipway.runtime.database.engine import Record
from slipway.runtime.process import clock
from slipway.runtime.topology.declared import LOOKS

SILENCE_SECONDS = 8.0
"""How much later than announced a value may come before monitor counts as silent."""


class Document(Protocol):
    """Makes a container's document."""

    def __call__(self, row: Record, own: bytes | None = None) -> bytes:
        """Make it of a row, and of what stands in the container's own if that is made already."""


class Looks:
    """Joins what monitor saw last to what is stored."""

    def __init__(self, bus: Bus, on_look: Callable[[ClusterLook], None] = lambda _look: None) -> None:
        self._bucket = Bucket(bus, LOOKS)
        self._on_look = on_look
        self._seen: dict[Id, Sight] = {}
        self._left: dict[Id, dict[int, Moment]] = {}
        """By cluster and VMID, when a container was last seen that is not seen any more."""
        self._written: dict[Id, float] = {}
        """When each value was written, in seconds of this process' clock."""
        self._began: float | None = None
        self._began_at: Moment | None = None

    async def run(self) -> None:
        """Watch all looks until cancelled."""
        self._began, self._began_at = asyncio.get_running_loop().time(), clock.now()
        stop = await self._bucket.watch(self._take)
        try:
            await asyncio.Event().wait()
        finally:
            await stop()

    def cluster(self, cluster: Cluster) -> Cluster:
        """Return a cluster as it was seen last."""
        return sight.cluster_seen(cluster, self._of(cluster.id, cluster.name))

    def clusters(self, page: ClusterPage) -> ClusterPage:
        """Return clusters as they were seen last."""
        return page.model_copy(update={"items": tuple(map(self.cluster, page.items))})

    def reader(self) -> Document:
        """Return what makes the documents of one answer: containers as their clusters were seen last.

        It takes a row, and what stands in the container's own if that is made already.
        """
        sights: dict[Id, Sight] = {}

        def document(row: Any, own: bytes | None = None) -> bytes:
            cluster = row["cluster_id"]
            if cluster not in sights:
                sights[cluster] = self._of(cluster, row["cluster"])
            left_at = self._left.get(cluster, {}).get(row["vmid"])
            looked_at, outage = sight.container_seen(row, sights[cluster], left_at=left_at)
            return container_document(row, own, looked_at=looked_at, outage=outage)

        return document

    def seen_since(self, cluster: Id, moment: Moment) -> frozenset[int] | None:
        """Return the containers that a look at a cluster since then has seen; None if there was none."""
        sight_of = self._seen.get(cluster)
        if sight_of is None or sight_of.look is None or sight_of.blindness is not None:
            return None
        looked_at = sight_of.look.looked_at
        return sight_of.vmids if looked_at is not None and looked_at > moment else None

    def _take(self, entry: Entry) -> None:
        look = ClusterLook.model_validate_json(entry.value)
        age = max(clock.now() - entry.at, timedelta())
        self._written[look.cluster] = asyncio.get_running_loop().time() - age.total_seconds()
        before, vmids = self._seen.get(look.cluster, Sight()), sight.vmids_of(look)
        left = self._left.setdefault(look.cluster, {})
        if before.look is not None and before.look.looked_at is not None:
            left |= dict.fromkeys(before.vmids - vmids, before.look.looked_at)
        for vmid in vmids & left.keys():
            del left[vmid]
        self._on_look(look)
        self._seen[look.cluster] = Sight(look=look, vmids=vmids)

    def _of(self, cluster: Id, name: str) -> Sight:
        seen = self._seen.get(cluster, Sight())
        silence = self._silence(cluster, name, seen.look)
        return Sight(look=seen.look, vmids=seen.vmids, silence=silence)

    def _silence(self, cluster: Id, name: str, look: ClusterLook | None) -> Outage | None:
        if self._began is None or self._began_at is None:
            return None
        now = asyncio.get_running_loop().time()
        if look is None:
            is_late = now - self._began > SILENCE_SECONDS
            return sight.silence(name, self._began_at, has_looked=False) if is_late else None
        is_late = now - self._written[cluster] > SILENCE_SECONDS + look.every_seconds
        return sight.silence(name, look.at, has_looked=True) if is_late else None
