"""Handle stored messages: send heartbeats while a handler runs, and settle each message once.

Theory of operation. A durable consumer delivers every message to one of its subscribers. There are as many
subscribers as slots and each fetches one message at a time: one that fetched more would hold messages without
a heartbeat, and they would run twice. While the handler runs, `in_progress` goes out every
`heartbeat`; if the process dies, the bus delivers the message to another one after `ack_wait`. If the process
is stopped and runs out of time, the message is handed over at once.

The table in `error_mapping` decides how a message is settled: done, dead letter, delivered again later, or
left to a newer owner. Delivery is at least once, so every handler must tolerate a repetition.
"""

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
from faststream.nats.annotations import NatsMessage
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import ValidationError

from slipway.contracts.message import Message
from slipway.contracts.problems import Problem, ProblemKind, SlipwayError
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import Call, using
from slipway.runtime.error_mapping import SETTLEMENTS, Settlement
from slipway.runtime.errors import invalid, problem_of
from slipway.runtime.process import metrics
from slipway.runtime.process.ending import end
from slipway.runtime.process.logs import get_logger

log = get_logger()

BUG_TRIES = 5
"""How often a handler may crash on the same message before it becomes a dead letter."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a stored message."""

    call: Call
    stream_sequence: int
    attempts: int
    """How often the message was delivered, this time included."""
    subject: str
    message_id: str
    """The publisher's id of the message."""


MessageHandler = Callable[[MessageT, Delivery], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registration(Generic[MessageT]):
    """One kind of message and its handler."""

    kind: type[MessageT]
    handler: MessageHandler[MessageT]

    def suits(self, subject: str) -> bool:
        """Whether a subject is one of this kind."""
        pattern, tokens = self.kind.subject_filter().split("."), subject.split(".")
        return len(pattern) == len(tokens) and all(
            expected in ("*", token) for expected, token in zip(pattern, tokens, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a message is settled, and why."""

    settlement: Settlement
    problem: Problem | None = None
    delay_seconds: float = 0.0


SetAside = Callable[[Msg, Delivery, str, Problem], Awaitable[None]]


class Consumer:
    """Handles one message after the other from one durable consumer."""

    def __init__(self, durable: str, *, heartbeat_seconds: float, set_aside: SetAside) -> None:
        self.durable = durable
        self.registrations: list[Registration[Any]] = []
        self._heartbeat_seconds = heartbeat_seconds
        self._set_aside = set_aside
        self._bugs: OrderedDict[int, int] = OrderedDict()
        self._running = 0
        self.idle = asyncio.Event()
        """Set while no message is being handled."""
        self.idle.set()

    async def handle(self, message: NatsMessage) -> None:
        """Handle one message and settle it."""
        self._running += 1
        self.idle.clear()
        try:
            await self._handle(message)
        finally:
            self._running -= 1
            if self._running == 0:
                self.idle.set()

    async def run_handler(self, payload: bytes, delivery: Delivery) -> None:
        """Call the handler of a message, or of a dead letter again; it is not settled.

        Raises:
            SlipwayError: if the message can't be handled.
        """
        registration = self._registration(delivery.subject)
        if registration is None:
            # A newer publisher sends a kind that this version does not know.
            return
        try:
            message = registration.kind.model_validate_json(payload)
        except ValidationError as error:
            raise invalid(error) from error
        with using(delivery.call):
            await registration.handler(message, delivery)

    async def _handle(self, message: NatsMessage) -> None:
        raw: Msg = message.raw_message
        delivery = _delivery_of(raw, message.headers)
        started = asyncio.get_running_loop().time()
        try:
            async with self._heartbeats(raw):
                outcome = await self._outcome(raw, delivery)
            await self._settle(raw, delivery, outcome)
        except asyncio.CancelledError:
            # Without a bus it is delivered again after `ack_wait`.
            with anyio.CancelScope(shield=True), contextlib.suppress(NatsError, OSError):
                await raw.nak()
            log.info("delivery handed over", consumer=self.durable, subject=delivery.subject)
            raise
        took = asyncio.get_running_loop().time() - started
        self._report(delivery, outcome, took)

    async def _outcome(self, raw: Msg, delivery: Delivery) -> Outcome:
        try:
            await self.run_handler(raw.data, delivery)
        except Exception as error:
            if not isinstance(error, SlipwayError):
                log.exception("delivery crashed", consumer=self.durable, subject=delivery.subject)
            return self._outcome_of(error, delivery)
        return Outcome(settlement=Settlement.ACK)

    def _registration(self, subject: str) -> Registration[Any] | None:
        return next((each for each in self.registrations if each.suits(subject)), None)

    def _outcome_of(self, error: Exception, delivery: Delivery) -> Outcome:
        problem = problem_of(error)
        settlement = SETTLEMENTS[problem.kind]
        if problem.kind is ProblemKind.INTERNAL and self._bugs_of(delivery.stream_sequence) >= BUG_TRIES:
            settlement = Settlement.DEAD_LETTER
        return Outcome(
            settlement=settlement,
            problem=problem,
            delay_seconds=delay_seconds(delivery.attempts, at_least=problem.retry_after_seconds or 0.0),
        )

    def _bugs_of(self, sequence: int) -> int:
        self._bugs[sequence] = self._bugs.get(sequence, 0) + 1
        if len(self._bugs) > 1000:  # noqa: PLR2004 - only a bound: what another replica settled stays here
            self._bugs.popitem(last=False)
        return self._bugs[sequence]

    async def _settle(self, raw: Msg, delivery: Delivery, outcome: Outcome) -> None:
        match outcome.settlement:
            case Settlement.ACK:
                await raw.ack()
            case Settlement.DEAD_LETTER:
                await self._set_aside_or_retry(raw, delivery, outcome)
            case Settlement.RETRY:
                await raw.nak(delay=outcome.delay_seconds)
            case Settlement.LEAVE:
                pass
        if outcome.settlement is not Settlement.RETRY:
            self._bugs.pop(delivery.stream_sequence, None)

    async def _set_aside_or_retry(self, raw: Msg, delivery: Delivery, outcome: Outcome) -> None:
        problem = outcome.problem or problem_of(RuntimeError())
        try:
            await self._set_aside(raw, delivery, self.durable, problem)
        except SlipwayError as error:
            log.warning(
                "dead letter not stored", consumer=self.durable, subject=delivery.subject, error=error.message
            )
            await raw.nak(delay=LONGEST_DELAY_SECONDS)
        else:
            await raw.ack()

    def _report(self, delivery: Delivery, outcome: Outcome, took: float) -> None:
        settlement = outcome.settlement.value
        registration = self._registration(delivery.subject)
        label = h.type_of(registration.kind) if registration is not None else "unknown"
        metrics.deliveries.labels(self.durable, label, settlement).inc()
        metrics.delivery_seconds.labels(self.durable).observe(took)
        if outcome.problem is None:
            log.debug(
                "delivery handled", consumer=self.durable, subject=delivery.subject, took=round(took, 4)
            )
            return
        log.warning(
            "delivery not handled",
            consumer=self.durable,
            subject=delivery.subject,
            message_id=delivery.message_id,
            outcome=settlement,
            code=outcome.problem.code,
            reason=outcome.problem.message,
            attempts=delivery.attempts,
        )

    @contextlib.asynccontextmanager
    async def _heartbeats(self, raw: Msg) -> AsyncIterator[None]:
        async def beat() -> None:
            while True:
                await asyncio.sleep(self._heartbeat_seconds)
                # A lost heartbeat does not fail the work; the next one may arrive.
                with contextlib.suppress(NatsError, OSError):
                    await raw.in_progress()

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            await end(beating)


def delay_seconds(attempts: int, *, at_least: float = 0.0) -> float:
    """Return the delay before the next attempt: doubling, bounded, with jitter."""
    doubled: float = FIRST_DELAY_SECONDS * 2 ** min(attempts, 10)
    longest = min(LONGEST_DELAY_SECONDS, max(doubled, at_least))
    return longest * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing


def _delivery_of(raw: Msg, headers: Mapping[str, str]) -> Delivery:
    metadata = raw.metadata
    sequence = metadata.sequence.stream
    return Delivery(
        call=h.stored_call_of(headers),
        stream_sequence=sequence,
        attempts=metadata.num_delivered or 1,
        subject=raw.subject,
        message_id=headers.get(h.MESSAGE_ID) or f"{metadata.stream}:{sequence}",
    )
