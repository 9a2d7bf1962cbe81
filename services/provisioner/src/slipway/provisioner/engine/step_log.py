"""The log of one step: buffered, masked, bounded, published.

Theory of operation. Whatever waits in the buffer leaves before the record is written again: the log keeps its
order. A message's id is made of job, step and the offset at which it ends; a line that is sent again after a
crash is stored once. Once a message could not be stored, none that follows it is sent: a later owner goes on
from the last offset that was stored, so a gap would never be filled. Lines that are left out on purpose are
another thing: of a log that is too long, or while the bus is almost full, lines are dropped, and a line says
how much (`log_bound`). So logs give way first, and never end a job.

A line is published at once if none was for a while; those that follow it soon are gathered (`log_bound`).

A line that has no end yet is published as it is so far, about once a second (`unfinished_line`): a message
that the next line replaces. It moves no offset, so that a later owner reads the line from its start.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from uuid import uuid4

from slipway.contracts.job_events import JobLog, LogLine
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.engine.log_bound import BUS_FULL, LogBound
from slipway.provisioner.engine.unfinished_line import UnfinishedLine
from slipway.runtime.errors import BusFull
from slipway.runtime.secrets.redaction import clean

FLUSH_BYTES = 16 * 1024
"""Of lines as they are stored: an empty one costs too, and a message has a largest size."""
LONGEST_STORED = 400
"""Characters of a line that a failure shows."""
LONGEST_PART = 64 * 1024
"""Characters of one part of a line."""

Stream = Literal["stdout", "task"]


class StepLog:
    """The lines of one step."""

    def __init__(self, journal: Journal, log_context: JobLog) -> None:
        self.bound = LogBound(journal.limits, log_context.logged_bytes)
        self._journal = journal
        self._log_context = log_context
        self._lines: list[LogLine] = []
        self._size = 0
        self.offset = log_context.offset
        """Where the next line begins."""
        self.is_waiting = asyncio.Event()
        """Set while there is something to flush, now or later."""
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._error: SlipwayError | None = None
        self._unfinished = UnfinishedLine()

    async def add(self, stream: Stream, text: str, offset: int) -> None:
        """Add a line that ends at an offset of its source; known secrets are masked before it is cut.

        Raises:
            SlipwayError: if an earlier line could not be stored; this one is not either.
        """
        self._unfinished.end()
        self.is_waiting.set()
        masked = str(clean(text))
        self._journal.last_lines.append(masked[:LONGEST_STORED])
        reason = self.bound.why_full(self._size) or (None if self._journal.has_room else BUS_FULL)
        if reason is not None:
            self.bound.omit(len(masked) + 1, reason, at_seconds=_seconds())
            self.offset = offset
        else:
            await self._add(stream, masked, offset)
        if self._error is not None:
            raise self._error

    def show_unfinished(self, text: str) -> None:
        """Show what a line of a script's output is so far; it goes on, or ends and is added."""
        self._unfinished.update(text, at_seconds=_seconds())
        self.is_waiting.set()

    async def flush(self) -> None:
        """Publish the lines that wait; raises the error that prevented an earlier line from being stored."""
        await self._send("")
        await self._send_unfinished()
        if self.bound.is_notice_due(_seconds()):
            await self._note_omitted(is_over=False)
        if not (self._lines or self._unfinished.is_open or self.bound.omitted_bytes):
            self.is_waiting.clear()

    async def close(self) -> None:
        """Publish the lines that wait, and how much is left out."""
        await self._send("")
        if self.bound.omitted_bytes:
            await self._note_omitted(is_over=True)

    async def _add(self, stream: Stream, text: str, offset: int) -> None:
        if self.bound.omitted_bytes:
            self._append(LogLine(stream=stream, text=self.bound.notice(is_over=True)))
        parts = [text[at : at + LONGEST_PART] for at in range(0, len(text), LONGEST_PART)] or [""]
        for number, part in enumerate(parts[:-1]):
            self._append(LogLine(stream=stream, text=part, more=True))
            # The line is not at its end: its parts carry where it began, and a number.
            await self._send(f":{number}")
        self._append(LogLine(stream=stream, text=parts[-1]))
        self.offset = offset
        if self._size >= FLUSH_BYTES:
            await self._send("")

    def _append(self, line: LogLine) -> None:
        self._lines.append(line)
        self._size += len(line.model_dump_json())

    async def _note_omitted(self, *, is_over: bool) -> None:
        """Log how much is left out; the notice counts as logged, but is sent beyond the bound."""
        stream = self._log_context.lines[-1].stream if self._log_context.lines else "stdout"
        self._append(LogLine(stream=stream, text=self.bound.notice(is_over=is_over)))
        await self._send(f":omitted:{self.bound.omitted_bytes}")

    async def _send(self, part: str) -> None:
        async with self._turn:
            if self._error is not None:
                raise self._error
            # Half a line leaves under its own number only: this id would be that of the line before.
            if not self._lines or (self._lines[-1].more and not part):
                return
            await asyncio.sleep(self._next_at - _seconds())
            lines, offset, size = tuple(self._lines), self.offset, self._size
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
                self._error = error
                raise
            else:
                self.bound.settle(is_stored=True)

    async def _send_unfinished(self) -> None:
        async with self._turn:
            is_full = self.bound.why_full(self._size) is not None or not self._journal.has_room
            if self._error is not None or self._lines or is_full:
                return
            if (text := self._unfinished.take(_seconds())) is None:
                return
            line = LogLine(stream="stdout", text=text)
            self.bound.count(len(line.model_dump_json()))
            counted = {"offset": self.offset, "logged_bytes": self.bound.logged_bytes}
            message = self._log_context.model_copy(
                update={"lines": (line,), "is_unfinished": True, **counted}
            )
            with suppress(BusFull):
                await self._journal.publish(message, f"{message.id}:{message.step}:{uuid4().hex}")


@asynccontextmanager
async def open_log(journal: Journal, log_context: JobLog) -> AsyncIterator[StepLog]:
    """Open the log of a step; lines are published as they come, gathered for a while, and at the end.

    Also at a bad end: the last lines before an error are those that explain it.
    """
    log = StepLog(journal, log_context)
    is_over = asyncio.Event()

    async def flush_regularly() -> None:
        while not is_over.is_set():
            await log.is_waiting.wait()
            with suppress(SlipwayError):  # the log stores it, and raises it again
                await log.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(log.bound.flush_seconds):
                    await is_over.wait()

    async def close() -> None:
        is_over.set()
        log.is_waiting.set()
        # Not cancelled: lines on their way would be lost.
        await asyncio.wait({flushing})
        # What came while the last message was on its way, and what went wrong with an earlier one.
        await log.close()

    flushing = asyncio.create_task(flush_regularly())
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
