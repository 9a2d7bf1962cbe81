"""Stored job logs: the log of an ended job, also after the bus has deleted it."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Id, Query, Value


class JobLogPart(Value):
    """Some events of an ended job in their order, packed; nothing is packed if no log is stored."""

    is_stored: bool = False
    """Whether the whole log is stored; if not, it is still on the bus, or there is none."""
    packed: str = ""
    """Base64 of what `slipway.runtime.bus.job_logs` packs; empty after the last event."""


class GetJobLog(Query[JobLogPart]):
    """The next part of an ended job's log; asked again with the last sequence seen until it is empty."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.log"
    timeout: ClassVar[timedelta] = timedelta(seconds=10)
    job: Id
    after: int = Field(default=0, ge=0)
    """The sequence of the last event that is known; a part may begin before it."""
