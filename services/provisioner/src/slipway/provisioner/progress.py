"""What a run tells: its phases, steps and log lines, in their order and once each.

Theory of operation. A change of phase or step is written with the record, in one batch. Log lines go out as
single messages, fenced by the record, so that no older owner's line is ever stored after a newer claim.
Whatever waits in the buffer leaves before the record is written again: the story keeps its order. A
message's id is made of job, step and the offset at which it ends; a line that is sent again after a crash is
stored once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from slipway.contracts.jobs import JobLog, JobProgress, LogLine, RunRecord
from slipway.contracts.message import Event
from slipway.provisioner.runs import Run, Runs
from slipway.runtime.bus import Bus, WriteRefused
from slipway.runtime.clock import now
from slipway.runtime.ending import end
from slipway.runtime.redaction import clean

LAST_LINES = 60
FLUSH_SECONDS = 0.25
FLUSH_BYTES = 16 * 1024
LONGEST_KEPT = 400
"""Characters of a line that a failure shows."""
LONGEST_PART = 64 * 1024
"""Characters of one part of a line."""

Stream = Literal["stdout", "stderr", "task"]


class Story:
    """The story of one run, told by its owner."""

    def __init__(self, bus: Bus, runs: Runs, run: Run) -> None:
        self._bus = bus
        self._runs = runs
        self._run = run
        self._told = 0
        self._turn = asyncio.Lock()
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        """Of the running step's log, masked: what a failure shows."""

    @property
    def record(self) -> RunRecord:
        """Where the run stands."""
        return self._run.record

    async def commit(self, *events: Event, **changes: Any) -> None:
        """Write the record with these changes and the events they cause."""
        async with self._turn:
            await self._runs.commit(self._run, events, **changes)

    async def earlier(self, job: str) -> RunRecord | None:
        """Give the record of an earlier job: what a retry may have to know; None if it is kept no more."""
        found = await self._runs.load(job)
        return found[0] if found else None

    async def tell(self, message: str, *, vmid: int | None = None) -> None:
        """Say how it goes, between two steps."""
        self._told += 1
        record = self.record
        told = JobProgress(
            id=record.id, phase=record.phase, percent=record.percent, message=message, vmid=vmid, at=now()
        )
        await self.publish(told, f"{record.id}:{record.claim}:{self._told}:progress")

    async def publish(self, event: Event, message_id: str) -> int:
        """Store one event, fenced by the record; raises `ClaimLost` if the run has a newer owner."""
        async with self._turn:
            while True:
                try:
                    return await self._bus.publish(event, message_id=message_id, fence=self._run.fence)
                except WriteRefused:
                    before = self._run.sequence
                    await self._runs.refresh(self._run)
                    if self._run.sequence == before:
                        raise

    async def last_log(self) -> JobLog | None:
        """Give the last log message of the job that was stored, whoever wrote it."""
        found = await self._bus.last(JobLog, self.record.id)
        return found[0] if found else None


class Log:
    """The lines of one step: buffered, masked, told."""

    def __init__(self, story: Story, heading: JobLog) -> None:
        self._story = story
        self._heading = heading
        self._lines: list[LogLine] = []
        self._size = 0
        self._told = heading.offset
        self._offset = heading.offset

    @property
    def offset(self) -> int:
        """Where the next line begins."""
        return self._offset

    async def add(self, stream: Stream, text: str, offset: int) -> None:
        """Take a line that ends at an offset of its source; known secrets are masked before it is cut."""
        masked = str(clean(text))
        self._story.last_lines.append(masked[:LONGEST_KEPT])
        parts = _parts(masked)
        for number, part in enumerate(parts[:-1]):
            self._take(LogLine(stream=stream, text=part, more=True))
            # The line is not at its end: its parts carry where it began, and a number.
            await self._send(f":{number}")
        self._take(LogLine(stream=stream, text=parts[-1]))
        self._offset = offset
        if self._size >= FLUSH_BYTES:
            await self._send("")

    async def flush(self) -> None:
        """Tell what waits."""
        await self._send("")

    def _take(self, line: LogLine) -> None:
        self._lines.append(line)
        self._size += len(line.text)

    async def _send(self, part: str) -> None:
        if not self._lines:
            return
        lines, offset = tuple(self._lines), self._offset
        self._lines, self._size = [], 0
        message = self._heading.model_copy(update={"lines": lines, "offset": offset})
        await self._story.publish(message, f"{message.id}:{message.step}:{offset}{part}")


@asynccontextmanager
async def logging(story: Story, heading: JobLog) -> AsyncIterator[Log]:
    """Open the log of a step; what waits is told every quarter of a second, and at the end."""
    log = Log(story, heading)
    is_over = asyncio.Event()

    async def keep_telling() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await is_over.wait()
            await log.flush()

    telling = asyncio.create_task(keep_telling())
    try:
        yield log
        is_over.set()
        # Not cancelled: lines on their way would be lost.
        await telling
        # What came while the last message was on its way.
        await log.flush()
    finally:
        await end(telling)


def _parts(text: str) -> Sequence[str]:
    return [text[at : at + LONGEST_PART] for at in range(0, len(text), LONGEST_PART)] or [""]
