"""What the bus holds, read as its administrator; and messages sent twice."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from slipway.contracts.jobs import RunJob
from slipway.runtime.bus.connection import inbox_prefix
from slipway.runtime.bus.stored import read_page
from slipway.runtime.topology.declared import COMMANDS, EVENTS
from support.stack import RunningStack

JOB_EVENTS = "slipway.v1.event.job.>"
PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One stored event of a job."""

    sequence: int
    kind: str
    at: float
    """When the bus stored it, in seconds since 1970."""
    content: dict[str, Any]


@asynccontextmanager
async def as_admin(stack: RunningStack) -> AsyncIterator[Client]:
    """Connect with the administrator's key."""
    connection = await nats.connect(
        stack.endpoints["nats"],
        nkeys_seed=str(stack.data / "identities" / "admin.nk"),
        inbox_prefix=inbox_prefix("admin").encode(),
        connect_timeout=5,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def job_logs(connection: Client) -> dict[str, list[StoredEvent]]:
    """Read the events of all jobs, in the order of the stream."""
    logs: dict[str, list[StoredEvent]] = defaultdict(list)
    after = 0
    while True:
        page = await read_page(
            connection, EVENTS, subject=JOB_EVENTS, from_sequence=after + 1, most=PAGE, most_bytes=4_000_000
        )
        for each in page.messages:
            job, kind = each.subject.split(".")[4:6]
            content = json.loads(each.payload)
            at = each.at.timestamp()
            logs[job].append(StoredEvent(sequence=each.sequence, kind=kind, at=at, content=content))
        if not page.messages:
            return dict(logs)
        after = page.messages[-1].sequence


async def repeat_a_command(connection: Client) -> str | None:
    """Store a run command that waits or runs a second time, as a bus that delivers twice would; its job."""
    stream = connection.jetstream()
    try:
        message = await stream.get_last_msg(COMMANDS, RunJob.subject)
    except NotFoundError:
        return None
    headers = {key: value for key, value in (message.headers or {}).items() if key != "Nats-Msg-Id"}
    await stream.publish(RunJob.subject, message.data or b"", headers=headers)
    return str(json.loads(message.data or b"{}")["job"])
