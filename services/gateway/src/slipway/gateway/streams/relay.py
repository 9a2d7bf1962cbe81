"""One subscription to the bus feeds every viewer of this process.

Theory of operation. The bus republishes each event that it stores in EVENTS, with its sequence. Sequences of
one stream have no gaps, so a gap in the arriving events means that some were missed (a reconnect, a slow
moment): they are read from the stream before anything newer is passed on; where a replica lags, from its
leader. If the stream does not have them any more, all viewers are dropped; they resume and get `reset`.
Comparing with the stream's end every two seconds finds missed events with nothing after them.

A viewer is attached first and replayed afterwards: the last thousand events are stored here, so that no event
is lost which a replay from the stream may not show yet.

Guarantees: each viewer gets every event of its subjects, in the order of the stream, or its queue overflows
and it is dropped, and resumes. Non-guarantee: order between two streams of the bus.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from prometheus_client import Counter, Gauge

from slipway.contracts.problems import Unavailable
from slipway.gateway.streams.viewer import EVENT_PREFIX, JOB_PREFIX, Item, Viewer
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.connection import needs_bus, wait_until_connected
from slipway.runtime.bus.stored import read_next, read_page
from slipway.runtime.process.chunks import chunk
from slipway.runtime.process.logs import get_logger
from slipway.runtime.topology.declared import EVENTS, LIVE_PREFIX

log = get_logger()

EVERYTHING = "slipway.v1.>"
MOST_BUFFERED = 1024
LOOK_SECONDS = 2.0
UNWATCHED_SECONDS = 60.0
"""The same while no event stream is open; the first that is opened has it look at once."""
AGAIN_SECONDS = 0.1
MOST_ASKED = 50
"""How often a leader that has nothing is asked again before the events count as gone."""

viewers_open = Gauge("slipway_gateway_viewers", "Open event streams.", registry=None)
events_healed = Counter("slipway_gateway_events_healed", "Events read from the stream.", registry=None)


class TooManyViewers(Unavailable):
    """The gateway has no room for another event stream."""

    code = "events.too-many-viewers"
    retry_after_seconds = 30.0


class NotAttached(Unavailable):
    """The gateway gets no events yet."""

    code = "events.not-attached"


class Relay:
    """Passes events on to viewers."""

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
        self._subscription: Subscription | None = None
        self.attached = asyncio.Event()
        """Set once events arrive."""
        self.watched = asyncio.Event()
        """Set while an event stream is open."""

    async def ping(self) -> None:
        """Raise unless events arrive."""
        if not self.attached.is_set():
            raise NotAttached("The event streams are not connected to the bus yet; try again.")

    def notify_all(self, notice: bytes, *, lasts: bool) -> None:
        """Send every viewer something that is no stored event; while it lasts, also new ones."""
        self._notice = notice if lasts else None
        for viewer in self._viewers:
            viewer.notify(notice)

    def stored(self, viewer: Viewer, *, after: int, until: int) -> list[Item]:
        """Return the newest events that a viewer gets."""
        return [
            item for item in self._stored if after < item.sequence <= until and viewer.wants(item.subject)
        ]

    def reaches_back(self, after: int) -> bool:
        """Return whether everything after an event is still stored here."""
        return bool(self._stored) and self._stored[0].sequence <= after + 1 and after <= self._last

    async def bounds(self) -> tuple[int, int]:
        """Return the first and the last sequence of the stream."""
        with needs_bus("The bus did not say where the stream of events ends."):
            state = (await self._bus.connection.jetstream().stream_info(EVENTS)).state
        return state.first_seq, state.last_seq

    async def run(self) -> None:
        """Relay until cancelled."""
        connection = self._bus.connection
        subscription = await connection.subscribe(f"{LIVE_PREFIX}{EVERYTHING}", cb=self._arrived)
        self._subscription = subscription
        try:
            await wait_until_connected(connection, within_seconds=5)
            await self._look()
            self.attached.set()
            while True:
                await self._pause()
                with contextlib.suppress(Unavailable):
                    await self._look()
        finally:
            self.attached.clear()
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def _pause(self) -> None:
        if self._viewers:
            await asyncio.sleep(LOOK_SECONDS)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.watched.wait(), UNWATCHED_SECONDS)

    @contextlib.contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[int]:
        """Attach a viewer; yield the sequence after which it gets everything live."""
        if len(self._viewers) >= self._most_viewers:
            raise TooManyViewers("Too many event streams are open; try again later.")
        self._viewers.add(viewer)
        self.watched.set()
        group = self._jobs.setdefault(viewer.job, set()) if viewer.job else self._fleet
        group.add(viewer)
        viewers_open.inc()
        if self._notice is not None:
            viewer.notify(self._notice)
        try:
            yield self._last
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self.watched.clear()
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
                await self._recover(sequence - 1)
                break
            except Unavailable as error:
                log.warning("event gap not recovered", after=self._last, reason=error.message)
                await asyncio.sleep(AGAIN_SECONDS)
        is_alone = self._subscription is not None and self._subscription.pending_msgs == 0
        self._deliver(sequence, headers.get("Nats-Subject", ""), message.data, is_alone=is_alone)

    async def _look(self) -> None:
        """Compare with the stream's end: events may be missing with nothing after them."""
        last = self._last
        _, end = await self.bounds()
        if not self._has_begun:
            self._has_begun, self._last = True, end
        elif end < last:
            log.warning("event stream recreated", last=last, end=end)
            self._skip_to(end)
        elif end > self._last:
            await self._recover(end)

    def _skip_to(self, sequence: int) -> None:
        """Skip events that are gone; the viewers of now resume, and get `reset`."""
        self._stored.clear()
        self._last = sequence
        for viewer in self._viewers:
            viewer.drop()

    async def _recover(self, until: int) -> None:
        """Pass on missed events; a leader without them may be newly elected, and is asked again."""
        for _ in range(MOST_ASKED):
            if await self._read(until):
                return
            await asyncio.sleep(AGAIN_SECONDS)
        log.error("event gap given up", after=self._last, until=until)
        self._skip_to(max(self._last, until))

    async def _read(self, until: int) -> bool:
        """Read up to a sequence; return whether the stream has it, or anything after it."""
        connection = self._bus.connection
        while self._last < until:
            after = self._last + 1
            page = await read_page(connection, EVENTS, subject=EVERYTHING, from_sequence=after)
            messages = page.messages
            if not messages:
                # The replica may lag; the leader does not.
                missing = await read_next(connection, EVENTS, subject=EVERYTHING, from_sequence=after)
                if missing is None:
                    return False
                messages = (missing,)
            for each in messages:
                events_healed.inc()
                self._deliver(each.sequence, each.subject, each.payload)
        return True

    def _deliver(self, sequence: int, subject: str, payload: bytes, *, is_alone: bool = False) -> None:
        """Give an event to its viewers: at once, or gathered with those that follow if it is not alone."""
        if sequence <= self._last:
            return
        self._last = sequence
        if not subject.startswith(EVENT_PREFIX):
            return
        item = Item.of(sequence, subject, payload)
        self._stored.append(item)
        framed = chunk(item.frame) if is_alone else None
        if subject.startswith(JOB_PREFIX):
            for viewer in self._jobs.get(subject.split(".")[4], ()):
                viewer.put(item, framed)
        for viewer in self._fleet:
            if viewer.wants(subject):
                viewer.put(item, framed)
