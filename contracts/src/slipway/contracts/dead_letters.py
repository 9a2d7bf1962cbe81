"""Dead letters: messages that a service could not handle, stored with the reason until someone decides."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Done, Moment, Query, Value
from slipway.contracts.problems import Problem


class DeadLetter(Value):
    """One message that was put aside."""

    id: int
    """Its place in the stream `DEAD_LETTERS`."""
    service: str
    """The service whose handler failed."""
    consumer: str
    subject: str
    """Where it came from."""
    stream: str
    sequence: int
    """Its place in that stream."""
    message_id: str
    attempts: int
    """How often it was tried."""
    problem: Problem
    at: Moment
    """When it was put aside."""
    size: int
    """Bytes."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Only of a single one, like `body`."""
    body: str | None = None
    """As text, known secrets masked."""


class DeadLetterPage(Value):
    """Some of them, oldest first, and where to go on."""

    items: tuple[DeadLetter, ...]
    next: str | None = None


class ReplayDeadLetter(Query[Done]):
    """Have a dead letter handled again; it is gone from the dead letters if that works. Audited.

    A command is published again; an event is handled again by the service whose handler failed.
    """

    subject: ClassVar[str] = "slipway.v1.query.inventory.dead-letter.replay"
    timeout: ClassVar[timedelta] = timedelta(seconds=15)
    message: int


class DropDeadLetter(Query[Done]):
    """Forget a dead letter. Audited."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.dead-letter.drop"
    message: int


class HandleAgain(Query[Done]):
    """Handle a dead-lettered event of yours again; only inventory asks."""

    subject: ClassVar[str] = "slipway.v1.query.monitor.dead-letter.handle"
    timeout: ClassVar[timedelta] = timedelta(seconds=10)
    message: int
