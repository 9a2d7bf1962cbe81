"""Poll the guests of one cluster: one request, then changes are published and stored.

A change is published before it is stored, with a message id made of the stored revision: if monitor dies in
between, the next holder of the lease publishes the same once more, and the bus stores it once.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from slipway.contracts.guests import GuestChanged, GuestGone, GuestStatus
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Power
from slipway.monitor import diagnosis, metrics
from slipway.monitor.access import ClusterConnections
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.monitor.polling.diff import MISSES_UNTIL_GONE, Difference, compare, identity
from slipway.monitor.polling.pace import Pace
from slipway.proxmox.answers import ResourceGuest, Resources
from slipway.proxmox.errors import AccessRefused
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.topology.declared import LIVE

POLL_SECONDS = 9.0
"""For a whole poll, with asking for the access and publishing what has changed."""
ANSWER_TIMEOUT = timedelta(seconds=5)
"""For the cluster's list: it costs milliseconds, and leaves time for another endpoint."""
FAILED_PAUSE_SECONDS = 2.0
"""The longest pause after a failure, and while something is wrong: its end is seen at once."""
REFUSED_PAUSE_SECONDS = 6.0
"""After a refused login, which costs the node three seconds."""
LEAST_PAUSE_SECONDS = 0.05
CHECKS = 50
"""Missing guests that are checked in one poll."""
CHECK_AGAIN_SECONDS = 30.0
OnChanged = Callable[[str, int], None]
"""Receives the cluster and the VMID of each guest that has changed."""


@dataclass(slots=True)
class GuestPoller:
    """Polls the guests of one cluster; the caller holds the cluster's lease."""

    cluster: str
    bus: Bus
    clusters: ClusterConnections
    look: Look
    pace: Pace
    facts_due: asyncio.Event
    """Set when guests came or went, VMs included: the node's facts list their VMIDs."""
    health_due: asyncio.Event
    """Set when a node came, went, or is said to be on or off."""
    on_changed: OnChanged
    _bucket: Bucket = field(init=False)
    _guests: dict[str, GuestStatus] | None = field(default=None, init=False)
    _revisions: dict[str, int] = field(default_factory=dict, init=False)
    _seen: Mapping[str, GuestStatus] = field(default_factory=dict, init=False)
    """The last observation."""
    _missing: Mapping[str, int] = field(default_factory=dict, init=False)
    _vmids: frozenset[int] | None = field(default=None, init=False)
    _nodes: frozenset[tuple[str, str | None]] = field(default=frozenset(), init=False)
    _hidden: dict[str, float] = field(default_factory=dict, init=False)
    """Guests that exist but are not shown, and when to check them again."""

    def __post_init__(self) -> None:
        self._bucket = Bucket(self.bus, LIVE)

    async def run(self) -> None:
        """Poll for ever."""
        outage_log = OutageLog("polling", cluster=self.cluster)
        loop = asyncio.get_running_loop()
        while True:
            least, longest = LEAST_PAUSE_SECONDS, None
            began = loop.time()
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self.poll()
            except (SlipwayError, TimeoutError) as error:
                outage_log.failed(error)
                is_refused = isinstance(error, AccessRefused)
                least = REFUSED_PAUSE_SECONDS if is_refused else LEAST_PAUSE_SECONDS
                longest = FAILED_PAUSE_SECONDS
            else:
                outage_log.recovered()
                metrics.record_poll(self.cluster)
                longest = None if self.look.is_well else FAILED_PAUSE_SECONDS
            metrics.poll_seconds.observe(loop.time() - began)
            await asyncio.sleep(least)
            await self.pace.wait(began=began, longest=longest)

    async def poll(self) -> None:
        """Ask once, then publish and store what has changed."""
        before = self._guests if self._guests is not None else await self._stored()
        resources = await self._resources()
        now = clock.now()
        observed = _observed(self.cluster, resources, before, now)
        difference = compare(before, observed, self._missing, self._seen)
        difference = await self._without_hidden(difference, resources)
        self._note_look(resources, before)
        if len(resources.nodes) == 1 and resources.nodes[0].status == "online":
            # Who answers for a cluster of one node is that node.
            self.look.note_answer(resources.nodes[0].name)
        self._guests, self._seen = None, {}  # read again if what follows breaks off
        for status in difference.changed:
            await self._publish(status)
            await self._store(status)
            self.on_changed(self.cluster, status.vmid)
        for status in difference.usage_changed:
            await self._store(status)
        for status in difference.gone:
            await self._drop(status, now)
        gone = {status.id for status in difference.gone}
        changed = {status.id: status for status in (*difference.changed, *difference.usage_changed)}
        self._guests = {guest: status for guest, status in (before | changed).items() if guest not in gone}
        self._missing, self._seen = difference.missing, observed
        vmids = frozenset(guest.vmid for guest in resources.guests)
        if self._vmids is not None and vmids != self._vmids:
            self.facts_due.set()
        self._vmids = vmids
        nodes = frozenset((node.name, node.status) for node in resources.nodes)
        if nodes != self._nodes:
            self._nodes = nodes
            self.health_due.set()

    async def _resources(self) -> Resources:
        try:
            return await self.clusters.query(self.cluster, lambda api: api.within(ANSWER_TIMEOUT).resources())
        except SlipwayError as error:
            if (problem := await self.clusters.diagnose(self.cluster, error)) is not None:
                self.look.note_failure(problem)
            raise

    async def _without_hidden(self, difference: Difference, resources: Resources) -> Difference:
        """Count only guests as gone whose VMID is free: a list leaves out what the access may not see."""
        now = asyncio.get_running_loop().time()
        listed = {f"{self.cluster}-{guest.vmid}" for guest in resources.guests}
        missing = [status for status in difference.gone if status.id not in listed]
        due = [status for status in missing if self._hidden.get(status.id, now) <= now][:CHECKS]
        answers = await asyncio.gather(*(self._is_free(status.vmid) for status in due))
        free = {status.id: is_free for status, is_free in zip(due, answers, strict=True)}
        stored = {status.id for status in missing if not free.get(status.id)}
        hidden = {guest: now + CHECK_AGAIN_SECONDS for guest, is_free in free.items() if is_free is False}
        self._hidden = {guest: at for guest, at in (self._hidden | hidden).items() if guest in stored}
        return replace(
            difference,
            gone=tuple(status for status in difference.gone if status.id not in stored),
            missing={**difference.missing, **dict.fromkeys(stored, MISSES_UNTIL_GONE)},
        )

    async def _is_free(self, vmid: int) -> bool | None:
        """Return whether a VMID is free; None if there is no answer."""
        try:
            return await self.clusters.query(
                self.cluster, lambda api: api.within(ANSWER_TIMEOUT).is_free(vmid)
            )
        except SlipwayError:
            return None

    def _note_look(self, resources: Resources, before: Mapping[str, GuestStatus]) -> None:
        nodes = self.look.nodes
        away = {name for name, node in nodes.items() if not node.is_online}
        hidden = [before[guest].vmid for guest in self._hidden if before[guest].node not in away]
        vmids = (guest.vmid for guest in resources.guests if guest.type == "lxc")
        subject = self.clusters.subject(self.cluster)
        self.look.note_poll(vmids, diagnosis.hidden(subject, hidden) if hidden else None)

    async def _stored(self) -> dict[str, GuestStatus]:
        entries = await self._bucket.entries()
        stored = {key: GuestStatus.model_validate_json(entry.value) for key, entry in entries.items()}
        self._revisions = {key: entry.revision for key, entry in entries.items()}
        return {key: status for key, status in stored.items() if status.cluster == self.cluster}

    async def _publish(self, status: GuestStatus) -> None:
        digest = hashlib.sha256(repr(identity(status)).encode()).hexdigest()[:16]
        message_id = f"{status.id}:changed:{self._revisions.get(status.id, 0)}:{digest}"
        if status.id not in self._revisions:
            # A VMID that is used again has no revision: its time makes the id unique.
            message_id = f"{message_id}:{int(status.observed_at.timestamp())}"
        await self.bus.publish(GuestChanged(id=status.id, status=status), message_id=message_id)

    async def _store(self, status: GuestStatus) -> None:
        self._revisions[status.id] = await self._bucket.put(
            status.id,
            status.model_dump_json().encode(),
            expected_revision=self._revisions.get(status.id),
        )

    async def _drop(self, status: GuestStatus, now: Moment) -> None:
        gone = GuestGone(id=status.id, cluster=self.cluster, vmid=status.vmid, at=now)
        revision = self._revisions.get(status.id, 0)
        await self.bus.publish(gone, message_id=f"{status.id}:gone:{revision}")
        await self._bucket.delete(status.id)
        self._revisions.pop(status.id, None)


def _observed(
    cluster: str, resources: Resources, before: Mapping[str, GuestStatus], now: Moment
) -> Mapping[str, GuestStatus]:
    """Return the observed guests by id; one that can't be read stays as it was."""
    rows = [status_of(cluster, guest, now) for guest in resources.guests if guest.type == "lxc"]
    seen = {status.id: status for status in rows if status.node}
    placeless = {f"{cluster}-{guest.vmid}" for guest in resources.guests if not guest.node}
    unread = before if resources.lost else placeless
    return {**{guest: before[guest] for guest in unread if guest in before and guest not in seen}, **seen}


async def forget_guests(bus: Bus, cluster: str) -> None:
    """Delete the stored guests of a cluster."""
    bucket = Bucket(bus, LIVE)
    for key, entry in (await bucket.entries()).items():
        if GuestStatus.model_validate_json(entry.value).cluster == cluster:
            await bucket.delete(key)


def status_of(cluster: str, guest: ResourceGuest, now: Moment) -> GuestStatus:
    """Convert a row of Proxmox' answer; missing numbers are 0."""
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
