"""A viewer of an event stream, and what is sent to it."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from slipway.contracts.job_events import JobAccepted, JobDone, JobLog, JobPhase, LogLine
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Event
from slipway.contracts.values import JobState, Phase
from slipway.runtime.bus.client import Bus

JOB = "/api/v1/jobs/job-1/events"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PHASE = JobPhase(id="job-1", phase=Phase.CREATE, status="started", percent=0, at=NOW)
DONE = JobDone(id="job-1", state=JobState.SUCCEEDED, container="c-1", vmid=100, percent=100, at=NOW)
ACCEPTED = JobAccepted(
    id="job-1", kind=JobKind.CREATE, container="c-1", vmid=100, hostname="web", actor="bootstrap", at=NOW
)


@dataclass(frozen=True)
class Seen:
    """One event as it arrived."""

    id: str
    name: str
    data: str


class Viewer:
    """Reads a stream as the standard says, and can be cut off."""

    def __init__(self, client: httpx.AsyncClient, path: str = JOB) -> None:
        self._client = client
        self._path = path
        self.last_id = ""
        self.seen: list[Seen] = []
        self.outages: list[str] = []
        """What was reported of parts that are away: no part of the job log, and without an id."""
        self.comments = 0

    async def read(self, *, most: int = 1_000_000) -> bool:
        """Read so many events; whether the stream ended before."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with self._client.stream("GET", self._path, headers=headers) as answer:
            async for event in self._events(answer):
                self.seen.append(event)
                most -= 1
                if most == 0:
                    return False
        return True

    async def _events(self, answer: httpx.Response) -> AsyncIterator[Seen]:
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                self.last_id = fields.get("id", self.last_id)
                if fields.get("event") == "outage":
                    self.outages.append(fields["data"])
                elif "data" in fields:
                    yield Seen(self.last_id, fields.get("event", "message"), fields["data"])
                fields = {}


def line(number: int) -> JobLog:
    """Make a message with one numbered line."""
    text = LogLine(stream="stdout", text=f"line {number}" + "x" * (number % 7) * 3000)
    return JobLog(id="job-1", phase=Phase.SYNC, step="sync.script.0", lines=(text,), offset=number)


async def publish_all(bus: Bus, *events: Event) -> None:
    """Store events, as the provisioner does."""
    for number, event in enumerate(events):
        await bus.publish(event, message_id=f"{event.subject_of()}:{number}:{random.random()}")
