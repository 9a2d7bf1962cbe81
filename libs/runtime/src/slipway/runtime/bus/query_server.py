"""Answer queries: every query gets a reply, the answer or a problem.

Silence would cost the client its whole timeout. Each query runs one handler, up to `WORKERS` of a subject at
once. The client's deadline holds: a query that arrives too late is refused, one that takes too long is
cancelled.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

import anyio
from faststream.nats import NatsBroker, NatsResponse
from faststream.nats.annotations import NatsMessage
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

QueryT = TypeVar("QueryT", bound=Query[Any])
QueryHandler = Callable[[QueryT, Call], Awaitable[Value]]


class AnsweredSubject(Generic[QueryT]):
    """One subject that all replicas of this service answer together."""

    def __init__(
        self, kind: type[QueryT], handler: QueryHandler[QueryT], *, service: str, broker: NatsBroker
    ) -> None:
        self._kind = kind
        self._handler = handler
        self._label = h.type_of(kind)
        self._broker = broker
        self._handled = 0
        self._one_handled = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        self._subscriber = broker.subscriber(
            kind.subject, queue=service, max_workers=WORKERS, decoder=raw_body
        )
        self._subscriber(self._answer)

    async def drain(self) -> None:
        """Accept no more queries, and wait until those already received are answered.

        FastStream by itself stops first and drops what still arrives; a rolling restart would lose queries.
        """
        subscription: Any = self._subscriber.subscription
        if subscription is None:
            return
        self._subscriber.subscription = None
        await subscription.drain()
        while self._handled < subscription.delivered:
            self._one_handled.clear()
            await self._one_handled.wait()

    async def stop(self) -> None:
        """Cancel the running handlers; their clients get a reply that the service is stopping."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1)
        with contextlib.suppress(NatsError, OSError):
            await self._subscriber.stop()

    async def _answer(self, message: NatsMessage) -> NatsResponse:
        started = time.perf_counter()
        call, refusal = _read_call(message)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._running.add(task)
        try:
            with using(call):
                reply = refusal or await self._outcome(message, call)
                self._report(reply, time.perf_counter() - started)
            return self._fitting(reply)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True), contextlib.suppress(NatsError, OSError):
                await self._reply_stopping(message)
            raise
        finally:
            self._running.discard(task)
            self._handled += 1
            self._one_handled.set()

    async def _outcome(self, message: NatsMessage, call: Call) -> Value:
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

    def _parse(self, message: NatsMessage, left: float | None) -> QueryT:
        if message.reply_to.startswith("$JS."):
            # A stored message that a consumer pushes here is a fact, never a query.
            raise Forbidden("A stored message is not a query.")
        if left is not None and left <= 0:
            raise DeadlineExceeded("The query arrived after its deadline.")
        try:
            return self._kind.model_validate_json(message.body)
        except ValidationError as error:
            raise invalid(error) from error

    async def _reply_stopping(self, message: NatsMessage) -> None:
        """Reply at once that this replica is stopping; another one may answer."""
        problem = ServiceUnavailable("The service is stopping.").to_problem()
        await self._broker.connection.publish(
            message.reply_to, problem.model_dump_json().encode(), headers=h.of_problem(problem)
        )

    def _report(self, reply: Value, took: float) -> None:
        outcome = reply.kind.value if isinstance(reply, Problem) else "ok"
        metrics.queries.labels(self._label, outcome).inc()
        metrics.query_seconds.labels(self._label).observe(took)
        if isinstance(reply, Problem) and reply.kind is not ProblemKind.REJECTED:
            log.warning("query failed", query=self._label, code=reply.code, took=round(took, 4))
        else:
            log.debug("query answered", query=self._label, outcome=outcome, took=round(took, 4))

    def _fitting(self, reply: Value) -> NatsResponse:
        payload = reply.model_dump_json().encode()
        if len(payload) > self._broker.connection.max_payload - HEADROOM_BYTES:
            log.error("reply too large", query=self._label, size_bytes=len(payload))
            reply = TooLarge("The answer is larger than the bus allows; ask for less.").to_problem()
            payload = reply.model_dump_json().encode()
        written = h.of_problem(reply) if isinstance(reply, Problem) else {"content-type": "application/json"}
        return NatsResponse(payload, headers=written)


def _read_call(message: NatsMessage) -> tuple[Call, Problem | None]:
    """Read the call; an unreadable deadline is answered with a problem too."""
    try:
        return h.call_of(message.headers), None
    except Invalid as error:
        return h.stored_call_of(message.headers), error.to_problem()


async def raw_body(message: NatsMessage) -> bytes:
    """Return the payload unchanged: pydantic parses it, once."""
    body: bytes = message.body
    return body
