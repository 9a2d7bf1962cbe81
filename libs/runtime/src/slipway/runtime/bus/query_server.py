"""Answer queries: every query gets a reply, the answer or a problem.

Silence would cost the client its whole timeout. Each query runs one handler, up to `WORKERS` of a subject at
once. The client's deadline holds: a query that arrives too late is refused, one that takes too long is
cancelled. They are read from the connection itself: FastStream's way through its middlewares cost three times
what is done here.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import ValidationError

from slipway.contracts.message import Query, Value
from slipway.contracts.problems import Forbidden, Invalid, Problem, ProblemKind, SlipwayError, TooLarge
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import Call, using
from slipway.runtime.errors import DeadlineExceeded, ServiceUnavailable, invalid, problem_of
from slipway.runtime.process import clock, metrics
from slipway.runtime.process.logs import get_logger

log = get_logger()

WORKERS = 32
"""Queries of one subject that one replica answers at the same time."""
HEADROOM_BYTES = 4096
"""Space for headers in the largest message."""
STOP_SECONDS = 1.0
"""How long cancelled handlers may take to clean up and to be answered for."""
_ANSWER = {"content-type": "application/json"}

QueryT = TypeVar("QueryT", bound=Query[Any])
QueryHandler = Callable[[QueryT, Call], Awaitable[Value | bytes]]
"""Returns the answer, or its JSON."""


class AnsweredSubject(Generic[QueryT]):
    """One subject that all replicas of this service answer together."""

    def __init__(
        self, kind: type[QueryT], handler: QueryHandler[QueryT], *, service: str, broker: NatsBroker
    ) -> None:
        self._kind = kind
        self._handler = handler
        self._service = service
        self._label = h.type_of(kind)
        self._broker = broker
        self._slots = asyncio.Semaphore(WORKERS)
        self._running: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Begin to answer, unless that was done before; the client itself subscribes anew when it reconnects.

        Raises:
            NatsError, OSError: if the bus is away.
        """
        if self._subscription is None:
            self._subscription = await self._broker.connection.subscribe(
                self._kind.subject, queue=self._service, cb=self._accept
            )

    async def drain(self) -> None:
        """Accept no more queries, and wait until those already received are answered."""
        if self._subscription is not None:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
            while self._running:
                await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Cancel the running handlers; their clients get a reply that the service is stopping."""
        self._is_stopping = True
        # One that has not begun would be cancelled without a reply.
        await asyncio.sleep(0)
        for task in self._running:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                # Each that ends makes room for the next that waits.
                while self._running:
                    await asyncio.wait(self._running)

    async def _accept(self, message: Msg) -> None:
        """Start to answer; the client holds back the next query until there is a free slot."""
        await self._slots.acquire()
        task = asyncio.create_task(self._answer(message))
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _answer(self, message: Msg) -> None:
        started = time.perf_counter()
        call, refusal = _read_call(message.headers or {})
        try:
            with using(call):
                reply = refusal or await self._outcome(message, call)
                self._report(reply, time.perf_counter() - started)
        except asyncio.CancelledError:
            await self._send(message, _stopping().to_problem())
            raise
        await self._send(message, reply)

    async def _outcome(self, message: Msg, call: Call) -> Value | bytes:
        left = None if call.deadline is None else (call.deadline - clock.now()).total_seconds()
        try:
            query = self._parse(message, left)
            async with asyncio.timeout(left) as limit:
                return await self._handler(query, call)
        except SlipwayError as error:
            return error.to_problem()
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                return DeadlineExceeded("There was no answer before the deadline.").to_problem()
            log.exception("query crashed", query=self._label)
            return problem_of(error)

    def _parse(self, message: Msg, left: float | None) -> QueryT:
        if message.reply.startswith("$JS."):
            # A stored message that a consumer pushes here is a fact, never a query.
            raise Forbidden("A stored message is not a query.")
        if self._is_stopping:
            raise _stopping()
        if left is not None and left <= 0:
            raise DeadlineExceeded("The query arrived after its deadline.")
        try:
            return self._kind.model_validate_json(message.data)
        except ValidationError as error:
            raise invalid(error) from error

    def _report(self, reply: Value | bytes, took: float) -> None:
        outcome = reply.kind.value if isinstance(reply, Problem) else "ok"
        metrics.queries.labels(self._label, outcome).inc()
        metrics.query_seconds.labels(self._label).observe(took)
        if isinstance(reply, Problem) and reply.kind is not ProblemKind.REJECTED:
            log.warning("query failed", query=self._label, code=reply.code, took=round(took, 4))
        else:
            log.debug("query answered", query=self._label, outcome=outcome, took=round(took, 4))

    async def _send(self, message: Msg, reply: Value | bytes) -> None:
        connection = self._broker.connection
        payload = reply if isinstance(reply, bytes) else reply.model_dump_json().encode()
        if len(payload) > connection.max_payload - HEADROOM_BYTES:
            log.error("reply too large", query=self._label, size_bytes=len(payload))
            reply = TooLarge("The answer is larger than the bus allows; ask for less.").to_problem()
            payload = reply.model_dump_json().encode()
        headers = h.of_problem(reply) if isinstance(reply, Problem) else _ANSWER
        try:
            await connection.publish(message.reply, payload, headers=headers)
        except (NatsError, OSError) as error:
            log.warning("reply not sent", query=self._label, error=repr(error))


def _stopping() -> ServiceUnavailable:
    return ServiceUnavailable("The service is stopping.")


def _read_call(headers: Mapping[str, str]) -> tuple[Call, Problem | None]:
    """Read the call; an unreadable deadline is answered with a problem too."""
    try:
        return h.call_of(headers), None
    except Invalid as error:
        return h.stored_call_of(headers), error.to_problem()
