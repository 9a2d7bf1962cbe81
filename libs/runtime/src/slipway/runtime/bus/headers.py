"""The headers of a message: CloudEvents (NATS binding), the call, errors. Names live here only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote, unquote

from pydantic import TypeAdapter

from slipway.contracts.message import Message, Moment
from slipway.contracts.problems import Invalid, Problem
from slipway.runtime.bus.call import Call, child_trace, current
from slipway.runtime.process import clock
from slipway.runtime.process.ids import new_id
from slipway.runtime.topology.declared import lifetime

ACTOR = "Slipway-Actor"
CORRELATION = "Slipway-Correlation-Id"
DEADLINE = "Slipway-Deadline"
IDEMPOTENCY_KEY = "Slipway-Idempotency-Key"
CONFIRMS_SELF = "Slipway-Confirms-Self"
TRACE = "traceparent"
ERROR = "Nats-Service-Error"
ERROR_CODE = "Nats-Service-Error-Code"

MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
ROLLUP = "Nats-Rollup"
TTL = "Nats-TTL"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"

_MOMENT: TypeAdapter[Moment] = TypeAdapter(Moment)
_SAFE = " :@/.,;=+-_~"


def of_call(call: Call) -> dict[str, str]:
    """Write a call into headers."""
    written = {
        ACTOR: quote(call.actor, safe=_SAFE),
        CORRELATION: quote(call.correlation_id, safe=_SAFE),
        TRACE: child_trace(call),
    }
    if call.deadline is not None:
        written[DEADLINE] = call.deadline.isoformat()
    if call.idempotency_key is not None:
        written[IDEMPOTENCY_KEY] = quote(call.idempotency_key, safe=_SAFE)
    if call.confirms_self:
        written[CONFIRMS_SELF] = "true"
    return written


def call_of(headers: Mapping[str, str]) -> Call:
    """Read the call from the headers of a query; a missing field is the system's.

    Raises:
        Invalid: if the deadline is not a time.
    """
    call, deadline = stored_call_of(headers), headers.get(DEADLINE)
    if not deadline:
        return call
    try:
        return replace(call, deadline=_MOMENT.validate_python(datetime.fromisoformat(deadline)))
    except ValueError as error:
        raise Invalid(f"The header {DEADLINE} is not a time with a zone.") from error


def stored_call_of(headers: Mapping[str, str]) -> Call:
    """Read the call that caused a stored message; it has no deadline."""
    key = headers.get(IDEMPOTENCY_KEY)
    return Call(
        actor=unquote(headers.get(ACTOR, "system")),
        correlation_id=unquote(headers.get(CORRELATION, "")) or new_id(),
        idempotency_key=unquote(key) if key is not None else None,
        confirms_self=headers.get(CONFIRMS_SELF) == "true",
        traceparent=headers.get(TRACE),
    )


def of_message(
    message: Message, *, service: str, message_id: str, ttl: timedelta | None = None
) -> dict[str, str]:
    """Write the CloudEvents attributes, the current call and the time to live of a message to be stored.

    Without a `ttl` it is stored as long as its kind is.
    """
    written = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": message_id,
        "ce-source": f"/slipway/{service}",
        "ce-type": type_of(message),
        "ce-time": clock.now().isoformat(),
        MESSAGE_ID: message_id,
        **of_call(current()),
    }
    if ttl := ttl or lifetime(message):
        written[TTL] = str(int(ttl.total_seconds()))
    thing = getattr(message, "id", None)
    if thing:
        written["ce-subject"] = str(thing)
    written.pop(DEADLINE, None)
    written.pop(IDEMPOTENCY_KEY, None)
    written.pop(CONFIRMS_SELF, None)
    return written


def type_of(message: Message | type[Message]) -> str:
    """Return the type of a message: its subject without the id."""
    return message.subject.replace(".{id}", "")


def of_problem(problem: Problem) -> dict[str, str]:
    """Write an error so that NATS tools show it too."""
    line = " ".join(problem.message.split())
    return {
        "content-type": "application/problem+json",
        ERROR: line.encode("ascii", "replace").decode(),
        ERROR_CODE: problem.code,
    }
