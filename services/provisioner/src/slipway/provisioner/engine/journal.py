"""What a run tells: its phases, steps and log lines, in their order and once each.

Theory of operation. A change of phase or step is written with the record, in one batch. Log lines go out as
single messages, fenced by the record, so that no older owner's line is ever stored after a newer claim.
Whatever waits in the buffer leaves before the record is written again: the log keeps its order. A
message's id is made of job, step and the offset at which it ends; a line that is sent again after a crash is
stored once. Once a message could not be stored, none that follows it is sent: a later owner goes on from the
last offset that was stored, so a gap would never be filled. What is left out on purpose is another thing: of
a log that is too long, or while the bus is almost full, lines are dropped, and a line says how much
(`log_bound`). So logs give way first, and never end a job.

A cancel meets nothing half done: a write that has begun is waited for (`finish_despite_cancel`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeVar

from slipway.contracts.jobs import JobLog, JobProgress, LogLine, RunRecord
from slipway.contracts.message import Event
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.engine.log_bound import BUS_FULL, LIMITS, LogBound, LogLimits
from slipway.provisioner.engine.records import Run, Runs
from slipway.runtime.bus.client import Bus, WriteRefused
from slipway.runtime.errors import BusFull
from slipway.runtime.process.clock import now
from slipway.runtime.secrets.redaction import clean

LAST_LINES = 60
FLUSH_BYTES = 16 * 1024
"""Of lines as they are stored: an empty one costs too, and a message has a largest size."""
LONGEST_STORED = 400
"""Characters of a line that a failure shows."""
LONGEST_PART = 64 * 1024
"""Characters of one part of a line."""

LONGEST_MESSAGE = 2000
"""Characters of what is told between two steps, or of an error."""

Stream = Literal["stdout", "stderr", "task"]
ResultT = TypeVar("ResultT")


async def finish_despite_cancel(act: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do something to its end, also if we are cancelled meanwhile: the cancel takes effect after it."""
    doing = asyncio.create_task(act)
    is_cancelled = False
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        # Looked at, so that Python does not report an error that nobody saw.
        doing.cancelled() or doing.exception()
        raise asyncio.CancelledError
    return doing.result()


class RunJournal:
    """The log of one run, told by its owner."""

    def __init__(self, bus: Bus, runs: Runs, run: Run, limits: LogLimits = LIMITS) -> None:
        self.limits = limits
        """Of the job's log."""
        self._bus = bus
        self._runs = runs
        self._run = run
        self._told = 0
        self._turn = asyncio.Lock()
        self.on_record_changed: Callable[[RunRecord], None] = lambda _: None
        """Is shown the record whenever it was read again: it may hold a cancel flag."""
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        """Of the running step's log, masked: what a failure shows."""

    @property
    def record(self) -> RunRecord:
        """Where the run stands."""
        return self._run.record

    @property
    def has_room(self) -> bool:
        """Whether the bus has room for log lines; what jobs need to end goes first."""
        return self._bus.has_room_for_logs

    async def commit(self, *events: Event, **changes: Any) -> None:
        """Write the record with these changes and the events they cause."""
        await finish_despite_cancel(self._commit(events, changes))
        self.on_record_changed(self.record)

    async def look(self) -> None:
        """Read the record again, for what others wrote into it."""
        found = await self._runs.load(self.record.id)
        if found is not None:
            self.on_record_changed(found[0])

    async def earlier(self, job: str) -> RunRecord | None:
        """Give the record of an earlier job: what a retry may have to know; None if it is stored no more."""
        found = await self._runs.load(job)
        return found[0] if found else None

    async def tell(self, message: str, *, vmid: int | None = None) -> None:
        """Say how it goes, between two steps."""
        self._told += 1
        record = self.record
        told = JobProgress(
            id=record.id,
            phase=record.phase,
            percent=record.percent,
            message=message[:LONGEST_MESSAGE],
            vmid=vmid,
            at=now(),
        )
        await self.publish(told, f"{record.id}:{record.claim}:{self._told}:progress")

    async def publish(self, event: Event, message_id: str) -> int:
        """Store one event, fenced by the record; raises `ClaimLost` if the run has a newer owner."""
        return await finish_despite_cancel(self._publish(event, message_id))

    async def last_log(self) -> JobLog | None:
        """Give the last log message of the job that was stored, whoever wrote it."""
        found = await self._bus.last(JobLog, self.record.id)
        return found[0] if found else None

    async def _commit(self, events: Sequence[Event], changes: dict[str, Any]) -> None:
        async with self._turn:
            await self._runs.commit(self._run, events, **changes)

    async def _publish(self, event: Event, message_id: str) -> int:
        async with self._turn:
            while True:
                try:
                    return await self._bus.publish(event, message_id=message_id, fence=self._run.fence)
                except WriteRefused:
                    before = self._run.sequence
                    await self._runs.refresh(self._run)
                    self.on_record_changed(self.record)
                    if self._run.sequence == before:
                        raise


class Log:
    """The lines of one step: buffered, masked, bounded, told."""

    def __init__(self, journal: RunJournal, log_context: JobLog) -> None:
        self.bound = LogBound(journal.limits, log_context.logged_bytes)
        self._journal = journal
        self._log_context = log_context
        self._lines: list[LogLine] = []
        self._size = 0
        self._offset = log_context.offset
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._broke: SlipwayError | None = None

    @property
    def offset(self) -> int:
        """Where the next line begins."""
        return self._offset

    async def add(self, stream: Stream, text: str, offset: int) -> None:
        """Take a line that ends at an offset of its source; known secrets are masked before it is cut.

        Raises:
            SlipwayError: if an earlier line could not be stored; this one is not either.
        """
        masked = str(clean(text))
        self._journal.last_lines.append(masked[:LONGEST_STORED])
        why = self.bound.why_full(self._size) or (None if self._journal.has_room else BUS_FULL)
        if why is not None:
            self.bound.omit(len(masked) + 1, why, at_seconds=_seconds())
            self._offset = offset
        else:
            await self._add(stream, masked, offset)
        if self._broke is not None:
            raise self._broke

    async def flush(self) -> None:
        """Tell what waits; raises what stored an earlier line from being stored."""
        await self._send("")
        if self.bound.is_notice_due(_seconds()):
            await self._say_omitted(is_over=False)

    async def close(self) -> None:
        """Tell what waits, and how much is left out."""
        await self._send("")
        if self.bound.omitted_bytes:
            await self._say_omitted(is_over=True)

    async def _add(self, stream: Stream, text: str, offset: int) -> None:
        if self.bound.omitted_bytes:
            self._take(LogLine(stream=stream, text=self.bound.notice(is_over=True)))
        parts = _parts(text)
        for number, part in enumerate(parts[:-1]):
            self._take(LogLine(stream=stream, text=part, more=True))
            # The line is not at its end: its parts carry where it began, and a number.
            await self._send(f":{number}")
        self._take(LogLine(stream=stream, text=parts[-1]))
        self._offset = offset
        if self._size >= FLUSH_BYTES:
            await self._send("")

    def _take(self, line: LogLine) -> None:
        self._lines.append(line)
        self._size += len(line.model_dump_json())

    async def _say_omitted(self, *, is_over: bool) -> None:
        """Say how much is left out; it counts as logged, but is told beyond the bound."""
        stream = self._log_context.lines[-1].stream if self._log_context.lines else "stdout"
        self._take(LogLine(stream=stream, text=self.bound.notice(is_over=is_over)))
        await self._send(f":omitted:{self.bound.omitted_bytes}")

    async def _send(self, part: str) -> None:
        async with self._turn:
            if self._broke is not None:
                raise self._broke
            # Half a line leaves under its own number only: this id would be that of the line before.
            if not self._lines or (self._lines[-1].more and not part):
                return
            await asyncio.sleep(self._next_at - _seconds())
            lines, offset, size = tuple(self._lines), self._offset, self._size
            self._lines, self._size = [], 0
            self.bound.count(size)
            counted = {"offset": offset, "logged_bytes": self.bound.logged_bytes}
            message = self._log_context.model_copy(update={"lines": lines, **counted})
            self._next_at = _seconds() + self.bound.pause_seconds(size)
            try:
                await self._journal.publish(message, f"{message.id}:{message.step}:{offset}{part}")
            except BusFull:
                self.bound.settle(is_stored=False)
                self.bound.omit(sum(len(line.text) for line in lines), BUS_FULL, at_seconds=_seconds())
            except SlipwayError as error:
                self._broke = error
                raise
            else:
                self.bound.settle(is_stored=True)


@asynccontextmanager
async def logging(journal: RunJournal, log_context: JobLog) -> AsyncIterator[Log]:
    """Open the log of a step; what waits is told every quarter of a second, and at the end.

    Also at a bad end: the last lines before an error are those that say why.
    """
    log = Log(journal, log_context)
    is_over = asyncio.Event()

    async def keep_telling() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(log.bound.flush_seconds):
                    await is_over.wait()
            with suppress(SlipwayError):  # the log keeps it, and raises it again
                await log.flush()

    async def close() -> None:
        is_over.set()
        # Not cancelled: lines on their way would be lost.
        await asyncio.wait({telling})
        # What came while the last message was on its way, and what went wrong with an earlier one.
        await log.close()

    telling = asyncio.create_task(keep_telling())
    try:
        yield log
    except asyncio.CancelledError:
        with suppress(SlipwayError):
            await close()
        raise
    except Exception:
        await close()
        raise
    await close()


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _parts(text: str) -> Sequence[str]:
    return [text[at : at + LONGEST_PART] for at in range(0, len(text), LONGEST_PART)] or [""]
