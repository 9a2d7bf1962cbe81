"""How much of a job's log is stored, and the notice about the rest. Pure: it counts sizes and reads no clock.

A step may use three quarters of what its job's bound leaves, so that every later step has room too. Of a
script's output the guest itself keeps beginning and end within a part of that (`guest_bytes`); what is
refused here is what the guest did not bound: a task's log, a guest that writes its file itself, a bus that is
almost full.
"""

from dataclasses import dataclass

MESSAGE_BYTES = 300
"""What a message costs beyond its text: subject and headers."""
LEAST_GUEST_BYTES = 64 * 1024
"""Of a script's output, however little is left: a script that fails late has last words."""
FIRST_NOTICE_SECONDS = 5.0
LONGEST_NOTICE_SECONDS = 300.0
FLUSH_SECONDS = 0.25
SLOW_FLUSH_SECONDS = 2.0
"""Once a log is long: a line every now and then must not cost a message each, for hours."""
UNFINISHED_SECONDS = 1.0
LONGEST_UNFINISHED_SECONDS = 5.0
"""Progress that lasts for hours takes little of a log."""

TOO_LONG = "the log of this job is too long"
BUS_FULL = "the message bus is almost full"


def unfinished_pause_seconds(age_seconds: float) -> float:
    """How long after a state of a line without an end the next one is published; the line is so old."""
    return min(max(UNFINISHED_SECONDS, age_seconds / 60), LONGEST_UNFINISHED_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """What one job may write into its log."""

    most_bytes: int
    bytes_per_second: int


LIMITS = LogLimits(most_bytes=64 * 1024 * 1024, bytes_per_second=1024 * 1024)
"""The default."""


class LogBound:
    """How much one step may still write, and how much was left out since it last wrote something."""

    def __init__(self, limits: LogLimits, logged_bytes: int) -> None:
        self._limits = limits
        self._left_bytes = max(0, limits.most_bytes - logged_bytes)
        self._most_bytes = logged_bytes + self._left_bytes * 3 // 4
        self.logged_bytes = logged_bytes
        """Of the job's log up to here, earlier steps included."""
        self.omitted_bytes = 0
        self._noted_bytes = 0
        self._reason = ""
        self._notice_seconds = FIRST_NOTICE_SECONDS
        self._notice_at = 0.0

    @property
    def guest_bytes(self) -> int:
        """How much of its output a script may leave in its guest."""
        return max(LEAST_GUEST_BYTES, self._left_bytes // 2)

    @property
    def flush_seconds(self) -> float:
        """How long after a message the lines that come are gathered for the next one."""
        is_long = self.logged_bytes > self._limits.most_bytes // 8
        return SLOW_FLUSH_SECONDS if is_long else FLUSH_SECONDS

    def pause_seconds(self, size: int) -> float:
        """How long nothing may be written after so much."""
        return size / self._limits.bytes_per_second

    def why_full(self, waiting_bytes: int) -> str | None:
        """Return why nothing may be added to the lines that wait; None if something may."""
        return TOO_LONG if self.logged_bytes + waiting_bytes >= self._most_bytes else None

    def count(self, size: int) -> None:
        """Count a message that is going to be written."""
        self.logged_bytes += size + MESSAGE_BYTES

    def omit(self, size: int, reason: str, *, at_seconds: float) -> None:
        """Count what is left out; the first notice of it is due at once."""
        if self.omitted_bytes == 0:
            self._notice_seconds, self._notice_at = FIRST_NOTICE_SECONDS, at_seconds
        self.omitted_bytes += size
        self._reason = reason

    def is_notice_due(self, at_seconds: float) -> bool:
        """Return whether a notice that more is left out is due; less often the longer it lasts."""
        if self.omitted_bytes == 0 or at_seconds < self._notice_at:
            return False
        self._notice_at = at_seconds + self._notice_seconds
        self._notice_seconds = min(self._notice_seconds * 2, LONGEST_NOTICE_SECONDS)
        return True

    def notice(self, *, is_over: bool) -> str:
        """Return the notice of how much is left out: up to here, or in all."""
        far = "are left out here" if is_over else "are left out so far, and it goes on"
        text = f"[slipway: {self.omitted_bytes} bytes of the log {far}: {self._reason}]"
        if is_over:
            self._noted_bytes, self.omitted_bytes = self._noted_bytes + self.omitted_bytes, 0
        return text

    def settle(self, *, is_stored: bool) -> None:
        """Count the last notice as stored, or as refused by the bus."""
        if not is_stored:
            self.omitted_bytes += self._noted_bytes
        self._noted_bytes = 0
