"""Watches what the bus keeps for a service: whether all of it is there, how far behind, how full.

What is missing is logged once, and once when it is back; `ping` says it in between. A stream that refuses
new messages when full must never get there, since nothing could be committed any more: from `FULL_SHARE` on
nobody takes new work, so that what was accepted can end. As long as the fill is unknown there is room: a bus
that is away keeps nobody from accepting.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo

from slipway.contracts.problems import SlipwayError
from slipway.runtime import metrics
from slipway.runtime.logs import get_logger
from slipway.runtime.problems import BusFull
from slipway.runtime.topology import EVENTS, consumer, streams_of, verify

log = get_logger()

EVERY_SECONDS = 10.0
"""How often everything is looked at, and how long a good answer counts for `ping`."""
WARN_SHARE = 0.7
FULL_SHARE = 0.85


class Watch:
    """What one service knows of its part of the bus."""

    def __init__(
        self, connection: Callable[[], Client], *, service: str, durables: Iterable[str], heartbeat: timedelta
    ) -> None:
        self._connection = connection
        self._service = service
        self._durables = durables
        self._heartbeat_seconds = heartbeat.total_seconds()
        self._impatient: set[str] = set()
        """Consumers that give work away before three heartbeats; each is said once."""
        self._verified_at: float | None = None
        self._missing: str | None = None
        self._fills: dict[str, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.verify()
                await self.measure()
            except (SlipwayError, NatsError, TimeoutError, OSError) as error:
                log.debug("bus not measured", error=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def verify(self) -> None:
        """Raise unless the service's streams, buckets and consumers are there."""
        try:
            await verify(self._connection(), self._service)
        except SlipwayError as error:
            self._verified_at = None
            if error.code != self._missing:
                log.warning("bus lacks something", code=error.code, reason=error.message)
            self._missing = error.code
            raise
        if self._missing is not None:
            log.info("bus is complete again", after=self._missing)
        self._missing = None
        self._verified_at = asyncio.get_running_loop().time()

    async def verify_now_and_then(self) -> None:
        """The same, but a good answer counts for a while."""
        known = self._verified_at
        if known is None or asyncio.get_running_loop().time() - known > EVERY_SECONDS:
            await self.verify()

    async def measure(self) -> None:
        """Ask how far behind each consumer is, and how full each stream."""
        bus = self._connection().jetstream()
        for durable in self._durables:
            known = await bus.consumer_info(consumer(durable).stream, durable)
            metrics.consumer_pending.labels(durable).set(known.num_pending or 0)
            metrics.consumer_redelivered.labels(durable).set(known.num_redelivered or 0)
            self._note_patience(durable, known.config.ack_wait or 0.0)
        for stream in streams_of(self._service):
            self._note_fill(stream, await bus.stream_info(stream))

    def refuse_new_work(self) -> None:
        """Raise `BusFull` when EVENTS is almost full."""
        fill = self._fills.get(EVENTS, 0.0)
        if fill >= FULL_SHARE:
            raise BusFull(
                f"The bus's stream EVENTS is {fill:.0%} full: no new job is accepted until it has room. "
                "Events end by themselves; more room gives SLIPWAY_EVENTS_MAX_BYTES and `topology apply`.",
                stream=EVENTS,
            )

    def _note_patience(self, durable: str, ack_wait: float) -> None:
        if 3 * self._heartbeat_seconds > ack_wait and durable not in self._impatient:
            self._impatient.add(durable)
            log.error(
                "work may run twice: a consumer waits less than three heartbeats",
                consumer=durable,
                ack_wait=ack_wait,
                heartbeat=self._heartbeat_seconds,
            )

    def _note_fill(self, stream: str, known: StreamInfo) -> None:
        most = known.config.max_bytes or 0
        metrics.stream_bytes.labels(stream).set(known.state.bytes)
        metrics.stream_max_bytes.labels(stream).set(most)
        fill, before = known.state.bytes / most if most > 0 else 0.0, self._fills.get(stream, 0.0)
        self._fills[stream] = fill
        if fill >= WARN_SHARE > before:
            log.warning("stream fills up", stream=stream, fill=round(fill, 3), max_bytes=most)
        elif before >= WARN_SHARE > fill:
            log.info("stream has room again", stream=stream, fill=round(fill, 3))
