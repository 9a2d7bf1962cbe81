"""A job's log put into parts; of a log that is too long, the middle is replaced by a notice.

Pure. Events that are no log lines are never left out, and what stays keeps its sequence, so that a viewer
resumes as if nothing were missing. A line that had no end yet is left out where another took its place.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.contracts.job_events import JobLog, LogLine
from slipway.runtime.bus.job_logs import StoredEvent, pack

MOST_BYTES = 64 * 1024 * 1024
"""Of log events in a stored log, before they are packed: half from its beginning, half from its end."""
PART_BYTES = 192 * 1024
"""Of events in one part, before they are packed; a part has to fit into one answer of the bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some events that follow one another."""

    after: int
    """The last sequence of the part before; 0 for the first."""
    last: int
    packed: bytes


class TruncatedLog:
    """Collects a log event by event, and splits it into parts."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._head_left = most_bytes // 2
        self._tail: deque[StoredEvent] = deque()
        self._tail_bytes = 0
        self._middle: list[StoredEvent] = []
        self._gap_at = 0
        self._gap: StoredEvent | None = None
        """The first event that is left out."""
        self._left_out = 0
        self._open: list[StoredEvent] = []
        self._open_bytes = 0
        self._parts: list[Part] = []
        self._waiting: list[StoredEvent] = []
        """A line that has no end yet, and what came after it."""
        self.has_ended = False
        """Whether its last event was `done`."""

    def add(self, event: StoredEvent) -> None:
        """Add the next event."""
        self.has_ended = event.subject.endswith(".done")
        if self._waiting and _is_log(event):
            self._take_waiting(is_replaced=_step(event) == _step(self._waiting[0]))
        if self._waiting or _is_unfinished(event):
            self._waiting.append(event)
        else:
            self._take(event)

    def _take_waiting(self, *, is_replaced: bool) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting[is_replaced:]:
            self._take(event)

    def _take(self, event: StoredEvent) -> None:
        size = len(event.payload) if _is_log(event) else 0
        if self._head_left > 0:
            self._head_left -= size
            self._put(event)
            return
        self._tail.append(event)
        self._tail_bytes += size
        while self._tail_bytes > self._most // 2:
            self._pass_on(self._tail.popleft())

    def parts(self) -> Sequence[Part]:
        """Return all parts; nothing can be added any more."""
        self._take_waiting(is_replaced=False)
        if self._gap is not None:
            self._middle.insert(self._gap_at, _notice(self._gap, self._left_out, self._most))
        for event in (*self._middle, *self._tail):
            self._put(event)
        self._close()
        return self._parts

    def _pass_on(self, event: StoredEvent) -> None:
        if not _is_log(event):
            self._middle.append(event)
            return
        if self._gap is None:
            self._gap, self._gap_at = event, len(self._middle)
        self._left_out += len(event.payload)
        self._tail_bytes -= len(event.payload)

    def _put(self, event: StoredEvent) -> None:
        if self._open and self._open_bytes + len(event.payload) > PART_BYTES:
            self._close()
        self._open.append(event)
        self._open_bytes += len(event.payload)

    def _close(self) -> None:
        if self._open:
            after = self._parts[-1].last if self._parts else 0
            self._parts.append(Part(after=after, last=self._open[-1].sequence, packed=pack(self._open)))
        self._open, self._open_bytes = [], 0


def _is_log(event: StoredEvent) -> bool:
    return event.subject.endswith(".log")


def _is_unfinished(event: StoredEvent) -> bool:
    # Few are: the others are not read.
    is_likely = _is_log(event) and b'"is_unfinished":true' in event.payload
    return is_likely and JobLog.model_validate_json(event.payload).is_unfinished


def _step(event: StoredEvent) -> str:
    return JobLog.model_validate_json(event.payload).step


def _notice(event: StoredEvent, left_out: int, most: int) -> StoredEvent:
    """Return the notice that takes the place of the first event left out: how much is missing."""
    log = JobLog.model_validate_json(event.payload)
    text = f"[slipway: {left_out} bytes of log events are left out here; {most} are stored]"
    notice = log.model_copy(update={"lines": (LogLine(stream=log.lines[0].stream, text=text),)})
    return StoredEvent(event.sequence, event.subject, notice.model_dump_json().encode())
