"""Polls the guests of one cluster: one request, then changes are told and stored.

A change is told before it is stored, under an id made of what was stored before: if monitor dies between the
two, the next holder of the lease tells the same once more, and the bus keeps it once.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from slipway.contracts.guests import GuestChanged, GuestGone, GuestStatus
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Power
from slipway.monitor import diagnosis, metrics
from slipway.monitor.access import Clusters
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.monitor.polling.diff import MISSES_UNTIL_GONE, Difference, compare, identity
from slipway.proxmox.answers import ResourceGuest, Resources
from slipway.proxmox.errors import AccessRefused
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.topology import LIVE

POLL_SECONDS = 9.0
"""Of a whole poll, with asking for the access and telling what has changed."""
ANSWER = timedelta(seconds=5)
"""How long the cluster may take for its list; it costs milliseconds, and leaves time for another endpoint."""
FAILED_PAUSE_SECONDS = 1.0
"""After a failure: whatever was wrong, that it is right again is seen at once."""
REFUSED_PAUSE_SECONDS = 6.0
"""After a refused login, which costs the node three seconds."""
CHECKS = 50
"""Missing guests that are asked about in one poll."""
CHECK_AGAIN_SECONDS = 30.0
OnChanged = Callable[[str, int], None]
"""Is told the cluster and the VMID of each guest that has changed."""


class Poller:
    """Polls one cluster; whoever runs it holds the cluster's lease."""

    def __init__(
        self,
        cluster: str,
        bus: Bus,
        clusters: Clusters,
        look: Look,
        *,
        every: timedelta,
        facts_due: asyncio.Event,
        on_changed: OnChanged = lambda _cluster, _vmid: None,
    ) -> None:
        self._cluster = cluster
        self._bus = bus
        self._clusters = clusters
        self._look = look
        self._every = every.total_seconds()
        self._facts_due = facts_due
        """Set when guests came or went, VMs included: the node's facts name them."""
        self._on_changed = on_changed
        self._bucket = Bucket(bus, LIVE)
        self._outage_log = OutageLog("polling", cluster=cluster)
        self._known: dict[str, GuestStatus] | None = None
        self._revisions: dict[str, int] = {}
        self._missing: Mapping[str, int] = {}
        self._vmids: frozenset[int] | None = None
        self._hidden: dict[str, float] = {}
        """Guests that exist and are not shown, and when to ask for them again."""

    async def run(self) -> None:
        """Poll for ever."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._every
            began = loop.time()
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self.poll()
            except (SlipwayError, TimeoutError) as error:
                self._outage_log.met(error)
                is_refused = isinstance(error, AccessRefused)
                pause = REFUSED_PAUSE_SECONDS if is_refused else max(pause, FAILED_PAUSE_SECONDS)
            else:
                self._outage_log.over()
                metrics.polled(self._cluster)
            took = loop.time() - began
            metrics.poll_seconds.observe(took)
            await asyncio.sleep(max(pause - took, 0.05))

    async def poll(self) -> None:
        """Ask once, then tell and store what has changed."""
        known = self._known if self._known is not None else await self._stored()
        resources = await self._resources()
        now = clock.now()
        found = compare(known, _seen(self._cluster, resources, known, now), self._missing)
        found = await self._without_hidden(found, resources)
        self._note_look(resources, known)
        self._known = None  # read again if what follows breaks off
        for status in found.changed:
            await self._tell(status)
            await self._keep(status)
            self._on_changed(self._cluster, status.vmid)
        for status in found.moved:
            await self._keep(status)
        for status in found.gone:
            await self._drop(status, now)
        gone = {status.id for status in found.gone}
        told = {status.id: status for status in (*found.changed, *found.moved)}
        self._known = {guest: status for guest, status in (known | told).items() if guest not in gone}
        self._missing = found.missing
        self._note(frozenset(guest.vmid for guest in resources.guests))

    async def _resources(self) -> Resources:
        try:
            return await self._clusters.quickly(self._cluster, lambda api: api.within(ANSWER).resources())
        except SlipwayError as error:
            if (why := await self._clusters.diagnose(self._cluster, error)) is not None:
                self._look.failed(why)
            raise

    async def _without_hidden(self, found: Difference, resources: Resources) -> Difference:
        """Take only those for gone whose VMID Proxmox calls free: a list leaves out what may not be seen."""
        now = asyncio.get_running_loop().time()
        named = {f"{self._cluster}-{guest.vmid}" for guest in resources.guests}
        missing = [status for status in found.gone if status.id not in named]
        due = [status for status in missing if self._hidden.get(status.id, now) <= now][:CHECKS]
        answers = await asyncio.gather(*(self._is_free(status.vmid) for status in due))
        free = {status.id: is_free for status, is_free in zip(due, answers, strict=True)}
        stored = {status.id for status in missing if not free.get(status.id)}
        hidden = {guest: now + CHECK_AGAIN_SECONDS for guest, is_free in free.items() if is_free is False}
        self._hidden = {guest: at for guest, at in (self._hidden | hidden).items() if guest in stored}
        return replace(
            found,
            gone=tuple(status for status in found.gone if status.id not in stored),
            missing={**found.missing, **dict.fromkeys(stored, MISSES_UNTIL_GONE)},
        )

    async def _is_free(self, vmid: int) -> bool | None:
        """Whether nobody has a VMID; None if that can't be asked."""
        try:
            return await self._clusters.quickly(self._cluster, lambda api: api.within(ANSWER).is_free(vmid))
        except SlipwayError:
            return None

    def _note_look(self, resources: Resources, known: Mapping[str, GuestStatus]) -> None:
        nodes = self._look.nodes
        away = {name for name, node in nodes.items() if not node.is_online}
        hidden = [known[guest].vmid for guest in self._hidden if known[guest].node not in away]
        vmids = (guest.vmid for guest in resources.guests if guest.type == "lxc")
        subject = self._clusters.subject(self._cluster)
        self._look.polled(vmids, diagnosis.hidden(subject, hidden) if hidden else None)

    async def _stored(self) -> dict[str, GuestStatus]:
        entries = await self._bucket.entries()
        known = {key: GuestStatus.model_validate_json(entry.value) for key, entry in entries.items()}
        self._revisions = {key: entry.revision for key, entry in entries.items()}
        return {key: status for key, status in known.items() if status.cluster == self._cluster}

    async def _tell(self, status: GuestStatus) -> None:
        digest = hashlib.sha256(repr(identity(status)).encode()).hexdigest()[:16]
        message_id = f"{status.id}:changed:{self._revisions.get(status.id, 0)}:{digest}"
        if status.id not in self._revisions:
            # A VMID that is used again has no revision: its first sight is told apart by its moment.
            message_id = f"{message_id}:{int(status.observed_at.timestamp())}"
        await self._bus.publish(GuestChanged(id=status.id, status=status), message_id=message_id)

    async def _keep(self, status: GuestStatus) -> None:
        self._revisions[status.id] = await self._bucket.put(
            status.id,
            status.model_dump_json().encode(),
            expected_revision=self._revisions.get(status.id),
        )

    async def _drop(self, status: GuestStatus, now: Moment) -> None:
        gone = GuestGone(id=status.id, cluster=self._cluster, vmid=status.vmid, at=now)
        revision = self._revisions.get(status.id, 0)
        await self._bus.publish(gone, message_id=f"{status.id}:gone:{revision}")
        await self._bucket.delete(status.id)
        self._revisions.pop(status.id, None)

    def _note(self, vmids: frozenset[int]) -> None:
        if self._vmids is not None and vmids != self._vmids:
            self._facts_due.set()
        self._vmids = vmids


def _seen(
    cluster: str, resources: Resources, known: Mapping[str, GuestStatus], now: Moment
) -> Mapping[str, GuestStatus]:
    """Say what was seen by guest id; who can't be read is as he was, not missing."""
    rows = [status_of(cluster, guest, now) for guest in resources.guests if guest.type == "lxc"]
    seen = {status.id: status for status in rows if status.node}
    placeless = {f"{cluster}-{guest.vmid}" for guest in resources.guests if not guest.node}
    unread = known if resources.lost else placeless
    return {**{guest: known[guest] for guest in unread if guest in known and guest not in seen}, **seen}


async def forget_guests(bus: Bus, cluster: str) -> None:
    """Drop what is stored of a cluster's guests."""
    bucket = Bucket(bus, LIVE)
    for key, entry in (await bucket.entries()).items():
        if GuestStatus.model_validate_json(entry.value).cluster == cluster:
            await bucket.delete(key)


def status_of(cluster: str, guest: ResourceGuest, now: Moment) -> GuestStatus:
    """Say a row of Proxmox' answer in our words; what it leaves out is 0."""
    return GuestStatus(
        id=f"{cluster}-{guest.vmid}",
        cluster=cluster,
        node=guest.node,
        vmid=guest.vmid,
        name=guest.name,
        power=Power(guest.status.value),
        uptime_seconds=guest.uptime or 0,
        cpu=guest.cpu or 0.0,
        memory_bytes=guest.mem or 0,
        memory_max_bytes=guest.maxmem or 0,
        disk_bytes=guest.disk or 0,
        disk_max_bytes=guest.maxdisk or 0,
        lock=guest.lock or None,
        tags=guest.tags,
        observed_at=now,
    )
