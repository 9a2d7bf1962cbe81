"""One subscription to the bus feeds every viewer of this process.

Theory of operation. The bus republishes whatever is stored in EVENTS, with its sequence. Sequences of one
stream have no holes, so a hole in what arrives means that something was missed (a reconnect, a slow moment):
it is read from the stream before anything newer is given on; where a replica lags, from its leader. If the
stream has it no more, all viewers are dropped: they resume, and are told. A look at the stream's end every
two seconds catches what was missed with nothing after it.

A viewer is attached first and replayed afterwards: the last thousand events are stored here, so that whatever
a replay from the stream may not show yet is not lost. An event is encoded once, whoever sees it.

Guarantees: each viewer gets every event it wants, in order of the stream, or its queue overflows and it is
dropped, and resumes. Non-guarantee: order between two streams of the bus.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import Counter, Gauge

from slipway.contracts.problems import Unavailable
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.connection import wait_until_connected
from slipway.runtime.bus.stored import StoredMessage, read_next, read_page
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.metrics import REGISTRY
from slipway.runtime.topology import EVENTS, LIVE_PREFIX

log = get_logger()

EVERYTHING = "slipway.v1.>"
JOB_PREFIX = "slipway.v1.event.job."
EVENT_PREFIX = "slipway.v1.event."
MOST_BUFFERED = 1024
MOST_WAITING = 2048
MOST_WAITING_BYTES = 8 * 1024 * 1024
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 0.1
MOST_ASKED = 50
"""How often a leader that says nothing is asked again before that is taken for the truth."""

viewers_open = Gauge("slipway_gateway_viewers", "Open event streams.", registry=REGISTRY)
viewers_dropped = Counter(
    "slipway_gateway_viewers_dropped", "Streams closed because slow.", registry=REGISTRY
)
events_healed = Counter("slipway_gateway_events_healed", "Events read from the stream.", registry=REGISTRY)


class TooManyViewers(Unavailable):
    """As many event streams are open as one gateway may have."""

    code = "events.too-many-viewers"
    retry_after_seconds = 30.0


class NotAttached(Unavailable):
    """The gateway hears no events yet."""

    code = "events.not-attached"


@dataclass(frozen=True, slots=True)
class Item:
    """One event, encoded for every viewer."""

    sequence: int
    subject: str
    frame: bytes
    """As it goes over the wire."""

    @classmethod
    def of(cls, sequence: int, subject: str, payload: bytes) -> "Item":
        """Encode an event; between its parts, JSON may hold line breaks, which would end the line here."""
        name = subject.rpartition(".")[2].encode()
        if b"\n" in payload or b"\r" in payload:
            payload = payload.replace(b"\r", b" ").replace(b"\n", b" ")
        return cls(sequence, subject, b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, name, payload))


@dataclass(eq=False, slots=True)
class Viewer:
    """Who looks at one job, or at the fleet; holds what was not sent to them yet."""

    job: str | None
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when too much waited; nothing newer is given any more, so that there is no hole."""
    _waiting: list[Item] = field(default_factory=list)
    _bytes: int = 0
    _notice: bytes | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def subject(self) -> str:
        """What of the stream it sees."""
        return f"{JOB_PREFIX}{self.job}.>" if self.job else f"{EVENT_PREFIX}>"

    def wants(self, subject: str) -> bool:
        """Whether it sees an event; the fleet's sees no log lines."""
        if self.job is not None:
            return subject.startswith(f"{JOB_PREFIX}{self.job}.")
        return subject.startswith(EVENT_PREFIX) and not (
            subject.startswith(JOB_PREFIX) and subject.endswith(".log")
        )

    def put(self, item: Item) -> None:
        """Let an event wait for them, unless too much waits already."""
        if self.dropped.is_set():
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes > MOST_WAITING_BYTES:
            self.drop()
            return
        self._waiting.append(item)
        self._bytes += len(item.frame)
        self._woken.set()

    def tell(self, notice: bytes) -> None:
        """Let them be told something that is no stored event; a newer one takes its place."""
        self._notice = notice
        self._woken.set()

    def take_notice(self) -> bytes | None:
        """Give what they are to be told."""
        notice, self._notice = self._notice, None
        return notice

    @property
    def is_finished(self) -> bool:
        """Whether it is dropped, and has been given all that waited."""
        return self.dropped.is_set() and not self._waiting

    def drop(self) -> None:
        """End it after what waits; it resumes where it was."""
        if not self.dropped.is_set():
            viewers_dropped.inc()
        self.dropped.set()
        self._woken.set()

    async def take(self, *, within_seconds: float) -> list[Item]:
        """Give all that waits as soon as there is any; nothing if it stays quiet, or is dropped."""
        if not self._waiting and not self.dropped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), within_seconds)
        taken, self._waiting, self._bytes = self._waiting, [], 0
        self._woken.clear()
        return taken


class Relay:
    """Gives events on."""

    def __init__(self, bus: Bus, *, most_viewers: int) -> None:
        self._bus = bus
        self._most_viewers = most_viewers
        self._viewers: set[Viewer] = set()
        self._last = 0
        self._has_begun = False
        self._stored: deque[Item] = deque(maxlen=MOST_BUFFERED)
        self._jobs: dict[str, set[Viewer]] = {}
        self._fleet: set[Viewer] = set()
        self._notice: bytes | None = None
        self.attached = asyncio.Event()
        """Set once events arrive."""

    async def ping(self) -> None:
        """Raise unless events arrive."""
        if not self.attached.is_set():
            raise NotAttached("The event streams are not connected to the bus yet; try again.")

    def tell_all(self, notice: bytes, *, lasts: bool) -> None:
        """Tell every viewer something that is no stored event; while it lasts, also those who come."""
        self._notice = notice if lasts else None
        for viewer in self._viewers:
            viewer.tell(notice)

    def stored(self, viewer: Viewer, *, after: int, until: int) -> list[Item]:
        """Give what a viewer wants of the newest events."""
        return [
            item for item in self._stored if after < item.sequence <= until and viewer.wants(item.subject)
        ]

    def reaches_back(self, after: int) -> bool:
        """Whether everything after an event is still stored here."""
        return bool(self._stored) and self._stored[0].sequence <= after + 1 and after <= self._last

    async def bounds(self) -> tuple[int, int]:
        """Tell the first and the last sequence of the stream."""
        try:
            state = (await self._bus.connection.jetstream().stream_info(EVENTS)).state
        except (NatsError, OSError, TimeoutError) as error:
            raise BusUnavailable("The bus did not say where the stream of events ends.") from error
        return state.first_seq, state.last_seq

    async def run(self) -> None:
        """Relay until cancelled."""
        connection = self._bus.connection
        listening = await connection.subscribe(f"{LIVE_PREFIX}{EVERYTHING}", cb=self._arrived)
        try:
            await wait_until_connected(connection, within_seconds=5)
            await self._look()
            self.attached.set()
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                with contextlib.suppress(Unavailable):
                    await self._look()
        finally:
            self.attached.clear()
            with contextlib.suppress(NatsError):
                await listening.unsubscribe()

    @contextlib.contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[int]:
        """Attach a viewer; gives the sequence after which it gets everything live."""
        if len(self._viewers) >= self._most_viewers:
            raise TooManyViewers("Too many event streams are open; try again later.")
        self._viewers.add(viewer)
        group = self._jobs.setdefault(viewer.job, set()) if viewer.job else self._fleet
        group.add(viewer)
        viewers_open.inc()
        if self._notice is not None:
            viewer.tell(self._notice)
        try:
            yield self._last
        finally:
            self._viewers.discard(viewer)
            group.discard(viewer)
            viewers_open.dec()
            if viewer.job and not group and self._jobs.get(viewer.job) is group:
                del self._jobs[viewer.job]

    async def _arrived(self, message: Msg) -> None:
        headers = message.headers or {}
        sequence = int(headers.get("Nats-Sequence", 0))
        if not self.attached.is_set() or sequence <= self._last:
            return
        while sequence > self._last + 1:
            try:
                await self._heal(sequence - 1)
                break
            except Unavailable as error:
                log.warning("a hole can't be filled yet", after=self._last, reason=error.message)
                await asyncio.sleep(AGAIN_SECONDS)
        self._give(sequence, headers.get("Nats-Subject", ""), message.data)

    async def _look(self) -> None:
        """Compare with the stream's end: something may be missing with nothing after it."""
        known = self._last
        _, end = await self.bounds()
        if not self._has_begun:
            self._has_begun, self._last = True, end
        elif end < known:
            log.warning("the stream of events was made anew", known=known, end=end)
            self._go_on_after(end)
        elif end > self._last:
            await self._heal(end)

    def _go_on_after(self, sequence: int) -> None:
        """Leave out what can't be given; who looks now resumes, and is told what became of it."""
        self._stored.clear()
        self._last = sequence
        for viewer in self._viewers:
            viewer.drop()

    async def _heal(self, until: int) -> None:
        """Give on what was missed; a leader that says nothing is new in its office, and is asked again."""
        for _ in range(MOST_ASKED):
            if await self._read(until):
                return
            await asyncio.sleep(AGAIN_SECONDS)
        log.error("events are not in the stream", after=self._last, until=until)
        self._go_on_after(max(self._last, until))

    async def _read(self, until: int) -> bool:
        """Read up to a sequence; whether there is it, or what was stored after it."""
        connection = self._bus.connection
        while self._last < until:
            after = self._last + 1
            page = await read_page(connection, EVENTS, subject=EVERYTHING, from_sequence=after)
            found = page.messages
            if not found:
                # The replica may lag; the leader does not.
                missing = await read_next(connection, EVENTS, subject=EVERYTHING, from_sequence=after)
                if missing is None:
                    return False
                found = (missing,)
            for each in found:
                events_healed.inc()
                self._give(each.sequence, each.subject, each.payload)
        return True

    def _give(self, sequence: int, subject: str, payload: bytes) -> None:
        if sequence <= self._last:
            return
        self._last = sequence
        if not subject.startswith(EVENT_PREFIX):
            return
        item = Item.of(sequence, subject, payload)
        self._stored.append(item)
        if subject.startswith(JOB_PREFIX):
            for viewer in self._jobs.get(subject.split(".")[4], ()):
                viewer.put(item)
        for viewer in self._fleet:
            if viewer.wants(subject):
                viewer.put(item)


def item_of(message: StoredMessage) -> Item:
    """Encode what was read from the stream."""
    return Item.of(message.sequence, message.subject, message.payload)
