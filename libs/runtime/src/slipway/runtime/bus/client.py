"""The bus for a service: answer, ask, consume, publish, commit.

FastStream carries deliveries; what it lacks (atomic batches, leader reads, buckets, leases, the topology) or
does at too high a price (queries) uses `connection`. Nothing is declared here: streams and consumers exist by
`slipway topology apply`, and `start` waits for them.

Everything is registered before `start`. `drain` ends it: every received query is answered, and work that
can't be finished in time is handed over at once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from slipway.contracts.message import Message, Query, Value
from slipway.contracts.problems import Problem
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.connection import close, inbox_prefix, make_broker, needs_bus, wait_until_connected
from slipway.runtime.bus.consumer import Consumer, Delivery, MessageHandler, Registration
from slipway.runtime.bus.dead_letters import dead_letter, dead_letter_headers
from slipway.runtime.bus.paced_subscription import FIRST_SECONDS, PacedSubscription
from slipway.runtime.bus.publisher import Publisher
from slipway.runtime.bus.query_client import QueryClient
from slipway.runtime.bus.query_server import AnsweredSubject, QueryHandler
from slipway.runtime.bus.stream_watch import StreamWatch
from slipway.runtime.errors import BusUnavailable, WriteRefused, WriteUnknown
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.retry import Deadline, retry_until_available
from slipway.runtime.topology.declared import consumer as declared_consumer
from slipway.runtime.topology.declared import dead_letter_subject

__all__ = ["Bus", "Delivery", "WriteRefused", "WriteUnknown"]

log = get_logger()

QueryT = TypeVar("QueryT", bound=Query[Any])
MessageT = TypeVar("MessageT", bound=Message)

HEARD_SECONDS = 0.5
"""For how long a query that came shows that the bus is there: as long as the check takes that it asks for."""
_ANSWER_SECONDS = 1.0
"""How long a bus that is left may take to answer."""
_HAND_OVER_SECONDS = 3.0
"""How long a cancelled handler may take to clean up."""


class Bus:
    """One service's connection to the bus.

    It publishes as `Publisher` does, asks as `QueryClient` does, and knows its streams as `StreamWatch` does.
    """

    def __init__(self, settings: ServiceSettings, *, service: str) -> None:
        self.service = service
        self.instance = settings.instance
        self.closed = asyncio.Event()
        """Set when the connection is lost for good; the process has to end."""
        self._is_usable = False
        self._heard = Deadline(-1.0)
        """Until then a query that came shows that the bus is there."""
        self._settings = settings
        self._draining = False
        self._broker: NatsBroker = make_broker(
            settings, service=service, closed=self._on_closed, reconnected=self._on_reconnected
        )
        self._answered: list[AnsweredSubject[Any]] = []
        self._guards: list[Callable[[Query[Any]], Awaitable[None]]] = []
        self._consumers: dict[str, Consumer] = {}
        self._pullers: list[tuple[asyncio.Lock, Any]] = []
        """The subscriber of each slot, and the lock that it shares with the others of its consumer."""
        self._watch = StreamWatch(
            lambda: self.connection,
            service=service,
            durables=self._consumers.keys(),
            heartbeat=settings.heartbeat,
            disk=settings.disk,
        )
        self.watch = self._watch.run
        self.measure = self._watch.measure
        self.refuse_new_work = self._watch.refuse_new_work
        self.shortages = self._watch.shortages
        queries = QueryClient(self._broker)
        self.ask = queries.ask
        self.ask_raw = queries.ask_raw
        publisher = Publisher(self._broker, service=service, stored=self._watch.note_stored)
        self.publish = publisher.publish
        self.publish_raw = publisher.publish_raw
        self.commit = publisher.commit
        self.last = publisher.last

    @property
    def connection(self) -> Client:
        """The raw client; for the relay, runs, buckets and the topology."""
        return self._broker.connection

    def guard(self, check: Callable[[Query[Any]], Awaitable[None]]) -> None:
        """Have a check look at every query before its handler does; it raises to refuse one."""
        self._guards.append(check)

    def answer(self, kind: type[QueryT], handler: QueryHandler[QueryT]) -> None:
        """Answer a query, together with all other replicas of this service."""

        async def heard(query: QueryT, call: Call) -> Value | bytes:
            self._heard = Deadline(HEARD_SECONDS)
            for check in self._guards:
                await check(query)
            return await handler(query, call)

        self._answered.append(AnsweredSubject(kind, heard, service=self.service, broker=self._broker))

    def consume(
        self, kind: type[MessageT], handler: MessageHandler[MessageT], *, durable: str, slots: int = 1
    ) -> None:
        """Handle stored messages of one kind from a durable consumer.

        Several kinds may share a consumer; a message without a handler is acknowledged and ignored.

        Args:
            kind: the class of the messages.
            handler: must tolerate a repetition; see `error_mapping` for what its errors mean.
            durable: the consumer's name in the topology, `<service>-<handler>`.
            slots: how many messages this replica handles at the same time; the first call for a consumer
                decides.
        """
        if durable not in self._consumers:
            self._consumers[durable] = self._open_consumer(durable, slots)
        self._consumers[durable].registrations.append(Registration(kind, handler))

    async def handle_again(self, message: int) -> None:
        """Handle one of this service's dead letters again; it stays among the dead letters.

        Raises:
            DeadLetterNotFound: if there is none of that id.
            SlipwayError: if it can't be handled now either.
        """
        letter = await dead_letter(self.connection, message)
        consumer = self._consumers[letter.summary.consumer]
        await consumer.run_handler(
            letter.payload,
            Delivery(
                call=h.stored_call_of(letter.headers),
                stream_sequence=letter.summary.sequence,
                attempts=letter.summary.attempts + 1,
                subject=letter.summary.subject,
                message_id=letter.summary.message_id,
            ),
        )

    async def connect(self) -> None:
        """Connect and wait until the topology exists; accept no work."""
        for act in (self._connect, self._watch.measure):
            await retry_until_available(act, event="bus not ready")
        self._is_usable = True

    async def start(self) -> None:
        """Connect, wait until the topology exists, then answer and consume."""
        for act in (self._connect, self._watch.measure, self._begin):
            await retry_until_available(act, event="bus not ready")
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            # Queries arrive from now on: the server has the subscriptions.
            await wait_until_connected(self.connection, within_seconds=2)
        self._is_usable = True
        log.info("bus ready", consumers=list(self._consumers), queries=len(self._answered))

    async def drain(self) -> None:
        """Accept no more work, finish what runs, hand over the rest, disconnect."""
        is_connected = bool(self._broker.config.connection_state)
        if self._draining or not is_connected:
            return
        self._draining = True
        self._is_usable = False
        await asyncio.gather(self._drain_queries(), self._drain_deliveries())
        # Once it has answered, it has all that was sent before: replies and settled messages.
        if away := await self._unanswered():
            log.warning("bus not drained", reason=away)
        await close(self.connection)

    async def ping(self) -> None:
        """Raise unless the bus answers and this service is served by it."""
        if not self._is_usable:
            raise BusUnavailable("The bus is not connected, or its topology is missing.")
        if self._heard.has_passed:
            with needs_bus("The bus does not answer."):
                await wait_until_connected(self.connection, within_seconds=2)
        if not self.connection.is_connected:
            raise BusUnavailable("The bus is away; reconnecting.")
        await self._watch.measure_if_due()

    @property
    def has_room_for_logs(self) -> bool:
        """Whether log lines may be stored: they are left out long before jobs lack room to end."""
        return self._watch.has_room_for_logs

    async def _drain_queries(self) -> None:
        if not await self._unanswered():
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(self._settings.graceful_timeout.total_seconds()):
                    await asyncio.gather(*(each.drain() for each in self._answered))
        await asyncio.gather(*(each.stop() for each in self._answered))

    async def _unanswered(self) -> str:
        """Return why the bus does not answer; nothing if it does."""
        if not self.connection.is_connected:
            return "The bus is not connected."
        try:
            await wait_until_connected(self.connection, within_seconds=_ANSWER_SECONDS)
        except TimeoutError:
            return "The bus does not answer."
        except (NatsError, OSError) as error:
            return str(error) or type(error).__name__
        return ""

    async def _drain_deliveries(self) -> None:
        # Waits for the broker's graceful timeout, then cancels the rest.
        await asyncio.gather(*(each.stop() for _, each in self._pullers), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                await asyncio.gather(*(consumer.idle.wait() for consumer in self._consumers.values()))

    def _open_consumer(self, durable: str, slots: int) -> Consumer:
        source = declared_consumer(durable)
        if source.service != self.service:
            raise ValueError(f"{durable} is not a consumer of {self.service}")
        consumer = Consumer(
            durable, heartbeat_seconds=self._settings.heartbeat.total_seconds(), set_aside=self._set_aside
        )
        turn = asyncio.Lock()
        for _ in range(slots):
            subscriber = self._broker.subscriber(
                source.filters[0],
                stream=JStream(source.stream, declare=False),
                durable=durable,
                pull_sub=PullSub(batch_size=1, timeout=FIRST_SECONDS),
                inbox_prefix=f"{inbox_prefix(self.service)}.".encode(),
                no_reply=True,
                decoder=_undecoded,
            )
            subscriber(consumer.handle)
            self._pullers.append((turn, subscriber))
        return consumer

    async def _set_aside(self, raw: Msg, delivery: Delivery, consumer_name: str, problem: Problem) -> None:
        subject = dead_letter_subject(self.service, consumer_name)
        headers = dead_letter_headers(raw, delivery, consumer_name, problem)
        with needs_bus("The bus did not store a dead letter.", subject=subject):
            await asyncio.wait_for(await self.publish_raw(subject, raw.data, headers), timeout=5)

    async def _connect(self) -> None:
        await _available(self._broker.connect())

    async def _begin(self) -> None:
        await _available(self._broker.start())
        for answered in self._answered:
            await _available(answered.start())
        for turn, puller in self._pullers:
            puller.subscription = PacedSubscription(
                puller.subscription, turn, wait_seconds=self._settings.pull_timeout.total_seconds()
            )

    async def _on_reconnected(self) -> None:
        log.info("bus reconnected")
        self._watch.measure_soon()
        for _, puller in self._pullers:
            if isinstance(puller.subscription, PacedSubscription):
                puller.subscription.ask_again()

    async def _on_closed(self) -> None:
        if not self._draining:
            log.critical("bus connection closed for good")
            self.closed.set()


async def _available(work: Awaitable[object]) -> None:
    try:
        await work
    except (NatsError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"The bus can't be reached: {error}") from error


async def _undecoded(message: NatsMessage) -> NatsMessage:
    """Hand a consumer the message itself: pydantic parses its payload, once."""
    return message
