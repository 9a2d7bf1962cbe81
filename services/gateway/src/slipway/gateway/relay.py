"""One subscription to the bus feeds every viewer of this process.

Theory of operation. The bus republishes whatever is stored in EVENTS, with its sequence. Sequences of one
stream have no holes, so a hole in what arrives means that something was missed (a reconnect, a slow moment):
it is read from the stream before anything newer is given on. A look at the stream's end every two seconds
catches what was missed with nothing after it.

A viewer is attached first and replayed afterwards: the last thousand events are kept here, so that whatever a
replay from the stream may not show yet is not lost. An event is encoded once, whoever sees it.

Guarantees: each viewer gets every event it wants, in order of the stream, or its queue overflows and it is
closed, and resumes. Non-guarantee: order between two streams of the bus.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from slipway.contracts.problems import Unavailable
from slipway.runtime.bus import Bus
from slipway.runtime.logs import get_logger
from slipway.runtime.metrics import REGISTRY
from slipway.runtime.stored import StoredMessage, read_page
from slipway.runtime.topology import EVENTS, LIVE_PREFIX

log = get_logger()

EVERYTHING = "slipway.v1.>"
JOB_PREFIX = "slipway.v1.event.job."
EVENT_PREFIX = "slipway.v1.event."
KEPT = 1024
QUEUE = 2048
LOOK_SECONDS = 2.0
_TOO_MUCH_FOR_A_FLEET = (".log", ".step", ".progress")

viewers_open = Gauge("slipway_gateway_viewers", "Open event streams.", registry=REGISTRY)
viewers_dropped = Counter(
    "slipway_gateway_viewers_dropped", "Streams closed because slow.", registry=REGISTRY
)
events_healed = Counter("slipway_gateway_events_healed", "Events read from the stream.", registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Item:
    """One event, encoded for every viewer."""

    sequence: int
    subject: str
    frame: bytes
    """As it goes over the wire."""

    @classmethod
    def of(cls, sequence: int, subject: str, payload: bytes) -> "Item":
        """Encode an event; its payload is JSON on one line."""
        name = subject.rpartition(".")[2].encode()
        return cls(sequence, subject, b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, name, payload))


@dataclass(eq=False, slots=True)
class Viewer:
    """Who looks at one job, or at the fleet."""

    job: str | None
    queue: "asyncio.Queue[Item | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE + 1))

    @property
    def subject(self) -> str:
        """What of the stream it sees."""
        return f"{JOB_PREFIX}{self.job}.>" if self.job else f"{EVENT_PREFIX}>"

    def wants(self, subject: str) -> bool:
        """Whether it sees an event."""
        if self.job is not None:
            return subject.startswith(f"{JOB_PREFIX}{self.job}.")
        return subject.startswith(EVENT_PREFIX) and not subject.endswith(_TOO_MUCH_FOR_A_FLEET)


class Relay:
    """Gives events on."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last = 0
        self._kept: deque[Item] = deque(maxlen=KEPT)
        self._jobs: dict[str, set[Viewer]] = {}
        self._fleet: set[Viewer] = set()
        self._turn = asyncio.Lock()
        self.attached = asyncio.Event()
        """Set once events arrive."""

    @property
    def last(self) -> int:
        """The newest sequence that was given on."""
        return self._last

    @property
    def kept(self) -> tuple[Item, ...]:
        """The newest events, oldest first."""
        return tuple(self._kept)

    async def run(self) -> None:
        """Relay until cancelled."""
        connection = self._bus.connection
        self._last = 0
        listening = await connection.subscribe(f"{LIVE_PREFIX}{EVERYTHING}", cb=self._arrived)
        try:
            await connection.flush()
            self._last = (await connection.jetstream().stream_info(EVENTS)).state.last_seq
            self.attached.set()
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                with contextlib.suppress(Unavailable):
                    await self._catch_up()
        finally:
            self.attached.clear()
            with contextlib.suppress(Exception):
                await listening.unsubscribe()

    @contextlib.contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[int]:
        """Attach a viewer; gives the sequence from which on it gets everything live."""
        group = self._jobs.setdefault(viewer.job, set()) if viewer.job else self._fleet
        group.add(viewer)
        viewers_open.inc()
        try:
            yield self._last
        finally:
            group.discard(viewer)
            viewers_open.dec()
            if viewer.job and not group:
                self._jobs.pop(viewer.job, None)

    async def _arrived(self, message: Msg) -> None:
        headers = message.headers or {}
        sequence = int(headers.get("Nats-Sequence", 0))
        if not self.attached.is_set() or sequence <= self._last:
            return
        while sequence > self._last + 1:
            try:
                await self._catch_up(before=sequence)
                break
            except Unavailable as error:
                log.warning("a hole can't be filled yet", after=self._last, why=error.message)
                await asyncio.sleep(0.2)
        async with self._turn:
            self._give(sequence, headers.get("Nats-Subject", ""), message.data)

    async def _catch_up(self, *, before: int | None = None) -> None:
        """Read what the stream has after the last event that was given on."""
        async with self._turn:
            while True:
                page = await read_page(
                    self._bus.connection, EVENTS, subject=EVERYTHING, from_sequence=self._last + 1
                )
                for each in page.messages:
                    if before is not None and each.sequence >= before:
                        return
                    events_healed.inc()
                    self._give(each.sequence, each.subject, each.payload)
                if page.remaining == 0 or not page.messages:
                    return

    def _give(self, sequence: int, subject: str, payload: bytes) -> None:
        if sequence <= self._last:
            return
        self._last = sequence
        if not subject.startswith(EVENT_PREFIX):
            return
        item = Item.of(sequence, subject, payload)
        self._kept.append(item)
        job = subject.split(".")[4] if subject.startswith(JOB_PREFIX) else ""
        for viewer in (*self._jobs.get(job, ()), *self._fleet):
            if viewer.wants(subject):
                _put(viewer, item)


def item_of(message: StoredMessage) -> Item:
    """Encode what was read from the stream."""
    return Item.of(message.sequence, message.subject, message.payload)


def _put(viewer: Viewer, item: Item) -> None:
    if viewer.queue.qsize() < QUEUE:
        viewer.queue.put_nowait(item)
    elif not viewer.queue.full():
        # The one place that is left says: you are too slow. It resumes where it was.
        viewers_dropped.inc()
        viewer.queue.put_nowait(None)
