"""Send queries to other services. Every query has a deadline; a missing service is reported at once.

Nothing is retried here: the caller knows whether sending twice is harmless.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError

from slipway.contracts.message import Query, Value
from slipway.contracts.problems import Problem, TooLarge, Unavailable, to_error
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import Call, current
from slipway.runtime.bus.connection import needs_bus, wait_until_connected
from slipway.runtime.errors import BusUnavailable, DeadlineExceeded, ServiceUnavailable
from slipway.runtime.process import clock, metrics

GRACE_SECONDS = 0.25
"""How much longer than the deadline the client waits, to receive the reason for no answer."""

PING_SECONDS = 0.5
"""How long the bus may take to answer after a query got no answer."""

ReplyT = TypeVar("ReplyT", bound=Value)


class QueryClient:
    """Sends queries on behalf of the current call."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def ask(self, query: Query[ReplyT], *, timeout: timedelta | None = None) -> ReplyT:
        """Return the answer, or raise its error."""
        reply = await self.ask_raw(query, timeout=timeout)
        return cast("ReplyT", type(query).reply_type().model_validate_json(reply))

    async def ask_raw(self, query: Query[Any], *, timeout: timedelta | None = None) -> bytes:
        """Return the answer's JSON unparsed, or raise its error."""
        call, deadline = current(), clock.now() + (timeout or query.timeout)
        call = replace(call, deadline=min(deadline, call.deadline or deadline))
        label = h.type_of(query)
        try:
            reply = await self._request(query, call)
        except Unavailable as error:
            metrics.asked.labels(label, error.kind.value).inc()
            raise
        if h.ERROR_CODE in (reply.headers or {}):
            problem = Problem.model_validate_json(reply.data)
            metrics.asked.labels(label, problem.kind.value).inc()
            refusal = to_error(problem)
            if isinstance(refusal, Unavailable) and problem.retry_after_seconds is not None:
                refusal.retry_after_seconds = problem.retry_after_seconds
            raise refusal
        metrics.asked.labels(label, "ok").inc()
        return reply.data

    async def _request(self, query: Query[Any], call: Call) -> Msg:
        service = query.subject.split(".")[3]
        left = (call.deadline - clock.now()).total_seconds() if call.deadline else 0.0
        if left <= 0:
            raise DeadlineExceeded("The deadline passed before the query was sent.", service=service)
        try:
            return await self._broker.connection.request(
                query.subject_of(),
                query.model_dump_json().encode(),
                headers={"content-type": "application/json", **h.of_call(call)},
                timeout=left + GRACE_SECONDS,
            )
        except NoRespondersError as error:
            raise ServiceUnavailable(f"The service {service} is not running.", service=service) from error
        except TimeoutError as error:
            # If the bus itself does not answer, the service is not to blame.
            with needs_bus("The message bus does not answer."):
                await wait_until_connected(self._broker.connection, within_seconds=PING_SECONDS)
            raise ServiceUnavailable(
                f"The service {service} did not answer in time.", service=service
            ) from error
        except MaxPayloadError as error:
            raise TooLarge("The query is larger than the bus allows.") from error
        except (NatsError, OSError) as error:
            raise BusUnavailable("The bus can't be reached.") from error
