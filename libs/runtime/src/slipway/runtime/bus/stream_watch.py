"""Watch a service's streams and consumers: whether they exist, how far behind they are, how full.

What is missing is logged once, and its return once; `measure` raises in between. A stream that refuses new
messages when full must never get there, since nothing could be committed any more. So log lines are left out
first, from `LOGS_SHARE` on; from `FULL_SHARE` on only work that ends things is accepted: stopping, deleting,
cancelling. While the fill is unknown everything is accepted: a bus that is away refuses nothing. The same
holds for the disk below, whoever fills it, where a setting says where it is.

Between two checks a service counts what it stores itself, and checks at once when that is much, or when the
connection was interrupted: only then can what existed be gone without a person who removes it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from nats.aio.client import Client
from nats.js.api import StreamInfo

from slipway.contracts.problems import SlipwayError
from slipway.runtime.errors import BusFull, DiskFull
from slipway.runtime.process import metrics
from slipway.runtime.process.disk import FULL_BYTES, LOGS_BYTES, MIB, free_bytes
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Deadline
from slipway.runtime.topology.declared import EVENTS
from slipway.runtime.topology.reconcile import verify

log = get_logger()

EVERY_SECONDS = 10.0
"""The interval of the checks, and how long one counts for `ping`."""
CALM_SECONDS = 30.0
"""The same while every stream is emptier than `CALM_SHARE`."""
CALM_SHARE = 0.5
WARN_SHARE = 0.7
LOGS_SHARE = 0.75
FULL_SHARE = 0.85
LOOK_SHARE = 0.02
"""Share of a stream that a service stores before it checks at once how full it is."""
MESSAGE_BYTES = 400
"""What a message takes beyond its payload, about: subject, headers, overhead."""
_GOES_ON = "Stopping, deleting and cancelling go on."
_NO_LINES = "log lines are left out."


class StreamWatch:
    """The state of one service's part of the bus."""

    def __init__(
        self,
        connection: Callable[[], Client],
        *,
        service: str,
        durables: Collection[str],
        heartbeat: timedelta,
        disk: Path | None = None,
    ) -> None:
        """Watch the bus over a connection, and the disk that a folder is on, if one is given."""
        self._connection = connection
        self._service = service
        self._durables = durables
        """The consumers that the service takes work from."""
        self._heartbeat_seconds = heartbeat.total_seconds()
        self._disk = disk
        self._impatient: set[str] = set()
        """Consumers whose `ack_wait` is less than three heartbeats; each is logged once."""
        self._measured = Deadline(-1.0)
        """Until then the last good answer counts."""
        self._missing: str | None = None
        self._fills: dict[str, float] = {}
        self._most: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        """Bytes that this service has stored since the last check."""
        self._check_now = asyncio.Event()

    async def run(self) -> None:
        """Check for ever that the service's part of the bus exists, and update its metrics."""
        while True:
            self._check_now.clear()
            try:
                await self.measure()
            except SlipwayError as error:
                log.debug("bus not measured", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._check_now.wait(), self._pause_seconds())

    async def measure(self) -> None:
        """Measure the lag of each consumer and the fill of each stream; raise unless all of them exist."""
        try:
            consumers, streams = await verify(self._connection(), self._service)
        except SlipwayError as error:
            self._measured = Deadline(-1.0)
            if error.code != self._missing:
                log.warning("topology incomplete", code=error.code, reason=error.message)
            self._missing = error.code
            raise
        if self._missing is not None:
            log.info("topology complete again", after=self._missing)
        self._missing = None
        for consumer in consumers:
            metrics.consumer_pending.labels(consumer.name).set(consumer.num_pending or 0)
            metrics.consumer_redelivered.labels(consumer.name).set(consumer.num_redelivered or 0)
            if consumer.name in self._durables:
                self._note_ack_wait(consumer.name, consumer.config.ack_wait or 0.0)
        for stream in streams:
            self._note_fill(str(stream.config.name), stream)
        self._measured = Deadline(self._pause_seconds())

    async def measure_if_due(self) -> None:
        """Measure, unless the last good result still counts."""
        if self._measured.has_passed:
            await self.measure()

    def measure_soon(self) -> None:
        """Measure as soon as possible: what was known may be out of date."""
        self._measured = Deadline(-1.0)
        self._check_now.set()

    def _pause_seconds(self) -> float:
        is_calm = self._missing is None and all(fill < CALM_SHARE for fill in self._fills.values())
        return CALM_SECONDS if is_calm else EVERY_SECONDS

    def note_stored(self, stream: str, size: int | None) -> None:
        """Count a stored message; None means that the stream refused it because it is full."""
        most = self._most.get(stream, 0)
        if size is None:
            self._fills[stream], self._stored[stream] = 1.0, 0
            return
        self._stored[stream] = self._stored.get(stream, 0) + size + MESSAGE_BYTES
        if most and self._stored[stream] > most * LOOK_SHARE:
            self._check_now.set()

    def fill(self, stream: str) -> float:
        """Return how full a stream is; 0 if that is unknown."""
        most = self._most.get(stream, 0)
        return self._fills.get(stream, 0.0) + (self._stored.get(stream, 0) / most if most else 0.0)

    @property
    def has_room_for_logs(self) -> bool:
        """Whether EVENTS and the disk have room for more than what jobs need to end."""
        free = self._free_bytes()
        return self.fill(EVENTS) < LOGS_SHARE and (free is None or free >= LOGS_BYTES)

    def refuse_new_work(self) -> None:
        """Raise `BusFull` when EVENTS is almost full, `DiskFull` when the disk is."""
        fill, free = self.fill(EVENTS), self._free_bytes()
        if fill >= FULL_SHARE:
            raise BusFull(f"{_almost_full(fill)} {_GOES_ON}", stream=EVENTS)
        if free is not None and free < FULL_BYTES:
            raise DiskFull(f"{_disk_almost_full(free)} {_GOES_ON}", free_bytes=free)

    def shortages(self) -> dict[str, str]:
        """Return the reasons why streams or the disk are too full, by the code of a refusal."""
        fill, free, found = self.fill(EVENTS), self._free_bytes(), dict[str, str]()
        if fill >= FULL_SHARE:
            found[BusFull.code] = _almost_full(fill)
        elif fill >= LOGS_SHARE:
            found[BusFull.code] = f"The bus's stream EVENTS is {min(fill, 1.0):.0%} full: {_NO_LINES}"
        if free is not None and free < FULL_BYTES:
            found[DiskFull.code] = _disk_almost_full(free)
        elif free is not None and free < LOGS_BYTES:
            found[DiskFull.code] = f"{_disk_has(free)}: {_NO_LINES}"
        return found

    def _free_bytes(self) -> int | None:
        """Return what the disk has free; None if that is unknown."""
        try:
            return None if self._disk is None else free_bytes(self._disk)
        except OSError:
            return None

    def _note_ack_wait(self, durable: str, ack_wait: float) -> None:
        if 3 * self._heartbeat_seconds > ack_wait and durable not in self._impatient:
            self._impatient.add(durable)
            log.error(
                "ack_wait too short: work may run twice",
                consumer=durable,
                ack_wait=ack_wait,
                heartbeat=self._heartbeat_seconds,
            )

    def _note_fill(self, stream: str, info: StreamInfo) -> None:
        most = info.config.max_bytes or 0
        metrics.stream_bytes.labels(stream).set(info.state.bytes)
        metrics.stream_max_bytes.labels(stream).set(most)
        fill, before = info.state.bytes / most if most > 0 else 0.0, self._fills.get(stream, 0.0)
        self._fills[stream], self._most[stream], self._stored[stream] = fill, max(0, most), 0
        if fill >= WARN_SHARE > before:
            log.warning("stream almost full", stream=stream, fill=round(fill, 3), max_bytes=most)
        elif before >= WARN_SHARE > fill:
            log.info("stream has room again", stream=stream, fill=round(fill, 3))


def _disk_has(free: int) -> str:
    return f"The disk of the bus and the database has {free // MIB} MiB left"


def _disk_almost_full(free: int) -> str:
    return (
        f"{_disk_has(free)}: no new job is accepted until it has {FULL_BYTES // MIB}. "
        "Remove what you do not need from it, or enlarge it."
    )


def _almost_full(fill: float) -> str:
    return (
        f"The bus's stream EVENTS is {min(fill, 1.0):.0%} full: no new job is accepted until it has room. "
        "Log lines end after seven days, other events after 90; more room gives SLIPWAY_EVENTS_MAX_BYTES "
        "and `slipway topology apply`."
    )
