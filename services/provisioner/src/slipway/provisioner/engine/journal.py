"""The events of a run: its phases, steps and log lines, in their order and once each.

Theory of operation. A change of phase or step is written with the record, in one batch. What nobody has to
know before the next write (the end of a step, the begin of one that only looks) is deferred: it leaves with
that write, before the next log line, or after `DEFER_SECONDS`. Log lines go out as single messages
(`step_log`), fenced by the record, so that no older owner's line is ever stored after a newer claim. A cancel
leaves nothing half done: a write that has begun is waited for (`finish_despite_cancel`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from slipway.contracts.job_events import JobLog
from slipway.contracts.jobs import RunRecord
from slipway.contracts.message import Event
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.engine import events
from slipway.provisioner.engine.log_bound import LIMITS, LogLimits
from slipway.provisioner.engine.records import Run, Runs
from slipway.runtime.bus.client import Bus, WriteRefused
from slipway.runtime.process.ending import end

LAST_LINES = 60
DEFER_SECONDS = 0.5
"""How long what is deferred may wait; people see a step begin so much later."""
ResultT = TypeVar("ResultT")


async def finish_despite_cancel(act: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await a coroutine to its end; if this task is cancelled meanwhile, the cancel takes effect then."""
    doing = asyncio.create_task(act)
    is_cancelled = False
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        # Retrieved, so that Python does not report the error as never retrieved.
        doing.cancelled() or doing.exception()
        raise asyncio.CancelledError
    return doing.result()


class Journal(Protocol):
    """The record of a run and the events about it, as its steps use them."""

    limits: LogLimits
    """Of the job's log."""
    last_lines: deque[str]
    """Of the running step's log, masked: what a failure shows."""

    @property
    def record(self) -> RunRecord:
        """Where the run stands."""

    @property
    def has_room(self) -> bool:
        """Whether there is room for log lines."""

    async def commit(self, *caused: Event, **changes: Any) -> None:
        """Write the record with these changes and the events they cause."""

    def defer(self, *caused: Event, **changes: Any) -> None:
        """Leave these changes and the events they cause to the next write, which follows soon."""

    async def flush(self) -> None:
        """Write what was deferred, if anything was."""

    async def earlier(self, job: str) -> RunRecord | None:
        """Return the record of an earlier job; None if it is stored no more."""

    async def report(self, message: str, *, vmid: int | None = None) -> None:
        """Publish a message about the progress between two steps."""

    async def publish(self, event: Event, message_id: str) -> int:
        """Store one event, fenced by the record."""

    async def last_log(self) -> JobLog | None:
        """Return the last log message of the job that was stored."""


class RunJournal:
    """The journal of one run, written by its owner."""

    def __init__(self, bus: Bus, runs: Runs, run: Run, limits: LogLimits = LIMITS) -> None:
        self.limits = limits
        self._bus = bus
        self._runs = runs
        self._run = run
        self._deferred: tuple[Sequence[Event], dict[str, Any]] = ((), {})
        self._flushing: asyncio.Task[None] | None = None
        self._last_log: tuple[JobLog | None] | None = None
        """The last log message that was stored; None while that is not known."""
        self._reports = 0
        self._turn = asyncio.Lock()
        self.on_record_changed: Callable[[RunRecord], None] = lambda _: None
        """Is called with the record whenever it was read again: it may hold a cancel flag."""
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)

    @property
    def record(self) -> RunRecord:
        """Where the run stands; of this, what was deferred is not written yet."""
        _, changes = self._deferred
        return self._run.record.model_copy(update=changes) if changes else self._run.record

    @property
    def begun_with_claim(self) -> str | None:
        """The step that began with the claim."""
        return self._run.begun

    @property
    def has_room(self) -> bool:
        """Whether the bus has room for log lines; what jobs need to end goes first."""
        return self._bus.has_room_for_logs

    async def commit(self, *caused: Event, **changes: Any) -> None:
        """Write the record with these changes and the events they cause."""
        await finish_despite_cancel(self._commit(caused, changes))
        self.on_record_changed(self.record)

    def defer(self, *caused: Event, **changes: Any) -> None:
        """Leave these changes and the events they cause to the next write, `DEFER_SECONDS` later at most."""
        earlier, before = self._deferred
        self._deferred = (*earlier, *caused), {**before, **changes}
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later())

    async def flush(self) -> None:
        """Write what was deferred, if anything was."""
        if any(self._deferred):
            await self.commit()

    async def release(self) -> None:
        """Record that a living owner releases the run: its claim does not count against the run."""
        await self._commit((), {"claims_without_progress": max(0, self.record.claims_without_progress - 1)})

    async def refresh(self) -> None:
        """Read the record again: others may have set the cancel flag or claimed the run."""
        record, _ = await self._runs.load(self.record.id) or (None, 0)
        if record is not None:
            self.on_record_changed(record)

    async def earlier(self, job: str) -> RunRecord | None:
        """Return the record of an earlier job, which a retry may need; None if it is stored no more."""
        record, _ = await self._runs.load(job) or (None, 0)
        return record

    async def report(self, message: str, *, vmid: int | None = None) -> None:
        """Publish a message about the progress between two steps."""
        self._reports += 1
        record = self.record
        message_id = f"{record.id}:{record.claim}:{self._reports}:progress"
        await self.publish(events.progress(record, message, vmid=vmid), message_id)

    async def publish(self, event: Event, message_id: str) -> int:
        """Store one event, fenced by the record; raises `ClaimLost` if the run has a newer owner."""
        return await finish_despite_cancel(self._publish(event, message_id))

    async def last_log(self) -> JobLog | None:
        """Return the last log message of the job that was stored, whoever wrote it."""
        if self._last_log is None:
            log, _ = await self._bus.last(JobLog, self.record.id) or (None, 0)
            self._last_log = (log,)
        return self._last_log[0]

    async def aclose(self) -> None:
        """Write nothing more by itself."""
        if self._flushing is not None:
            await end(self._flushing)

    async def _flush_later(self) -> None:
        await asyncio.sleep(DEFER_SECONDS)
        # What can't be written now leaves with the next write, or fails that.
        with suppress(SlipwayError):
            await self.flush()

    async def _commit(self, caused: Sequence[Event], changes: dict[str, Any]) -> None:
        async with self._turn:
            await self._write(caused, changes)

    async def _write(self, caused: Sequence[Event], changes: dict[str, Any]) -> None:
        earlier, before = self._deferred
        await self._runs.commit(self._run, (*earlier, *caused), **{**before, **changes})
        # What was deferred during the write is left.
        all_events, all_changes = self._deferred
        left = {name: value for name, value in all_changes.items() if before.get(name) is not value}
        self._deferred = all_events[len(earlier) :], left

    async def _publish(self, event: Event, message_id: str) -> int:
        async with self._turn:
            if any(self._deferred):
                await self._write((), {})
            while True:
                fence = (self.record.subject_of(), self._run.sequence)
                if isinstance(event, JobLog):
                    self._last_log = None
                try:
                    sequence = await self._bus.publish(event, message_id=message_id, fence=fence)
                except WriteRefused:
                    await self._runs.refresh(self._run)
                    self.on_record_changed(self.record)
                    if self._run.sequence == fence[1]:
                        raise
                else:
                    if isinstance(event, JobLog):
                        self._last_log = (event,)
                    return sequence
