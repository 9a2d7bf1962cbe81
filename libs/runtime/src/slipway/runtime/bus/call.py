"""The call that is served: who asks and until when; available anywhere below a handler.

The runtime sets the call around every handler and carries it over the bus in headers. The gateway sets it
around every HTTP request with `using`.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

from slipway.contracts.message import Moment
from slipway.runtime.process.ids import new_id

NOBODY = "system"
"""The actor of what Slipway does by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asks, under which correlation id, until when, with which idempotency key."""

    actor: str
    correlation_id: str
    deadline: Moment | None = None
    idempotency_key: str | None = None
    confirms_self: bool = False
    """Whether the caller knows that the request may end Slipway itself."""
    traceparent: str | None = None
    """W3C trace context of the caller's span."""


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current() -> Call:
    """Return the call that is being served; outside of one, a new call of the system itself."""
    return _current.get() or Call(actor=NOBODY, correlation_id=new_id())


@contextmanager
def using(call: Call) -> Iterator[Call]:
    """Serve this call: `current()` returns it, and every log line carries its correlation id."""
    token = _current.set(call)
    try:
        with structlog.contextvars.bound_contextvars(correlation_id=call.correlation_id, actor=call.actor):
            yield call
    finally:
        _current.reset(token)


def child_trace(call: Call) -> str:
    """Create the trace context of a message sent within this call: same trace, new span."""
    parts = (call.traceparent or "").split("-")
    trace = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else secrets.token_hex(16)  # noqa: PLR2004 - W3C's
    return f"00-{trace}-{secrets.token_hex(8)}-01"
