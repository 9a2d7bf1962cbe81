"""One viewer of an event stream: which events it gets, and those that wait for it.

An event is encoded and framed once for all viewers. While a viewer's task waits for events, they are written
to its connection at once, without waking the task; all others wait, in their order, until the task has sent
them. The task never waits while something waits for it, so nothing overtakes.

A viewer for whom too many events wait is dropped: it resumes at the last event that it has got.
"""

import asyncio
from dataclasses import dataclass, field

from prometheus_client import Counter

from slipway.runtime.process.chunks import ChunkWriter

JOB_PREFIX = "slipway.v1.event.job."
EVENT_PREFIX = "slipway.v1.event."
MOST_WAITING = 2048
MOST_WAITING_BYTES = 8 * 1024 * 1024

viewers_dropped = Counter("slipway_gateway_viewers_dropped", "Streams closed because slow.", registry=None)


@dataclass(frozen=True, slots=True)
class Item:
    """One event, encoded for every viewer."""

    sequence: int
    subject: str
    frame: bytes
    """As it goes over the wire."""
    is_done: bool
    """Whether it is a job's last."""

    @classmethod
    def of(cls, sequence: int, subject: str, payload: bytes) -> "Item":
        """Encode an event; JSON may hold line breaks between its parts, which would end the line here."""
        name = subject.rpartition(".")[2].encode()
        if b"\n" in payload or b"\r" in payload:
            payload = payload.replace(b"\r", b" ").replace(b"\n", b" ")
        frame = b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, name, payload)
        return cls(sequence, subject, frame, subject.startswith(JOB_PREFIX) and name == b"done")


@dataclass(eq=False, slots=True)
class Viewer:
    """Someone who watches one job, or the fleet; holds the events that were not sent to them yet."""

    job: str | None
    writer: ChunkWriter | None = None
    """Writes to its connection at once, where that can be done."""
    seen: int = 0
    """The last event that was sent to it before it is given any that comes live."""
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when too many events waited; no newer ones are added, so that there is no gap."""
    _waiting: list[Item] = field(default_factory=list)
    _bytes: int = 0
    _notice: bytes | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _is_idle: bool = False
    """Whether its task waits for events, and none waits for the task."""

    @property
    def subject(self) -> str:
        """The subjects of its events."""
        return f"{JOB_PREFIX}{self.job}.>" if self.job else f"{EVENT_PREFIX}>"

    def wants(self, subject: str) -> bool:
        """Return whether it gets an event; the fleet's gets no log lines."""
        if self.job is not None:
            return subject.startswith(f"{JOB_PREFIX}{self.job}.")
        return subject.startswith(EVENT_PREFIX) and not (
            subject.startswith(JOB_PREFIX) and subject.endswith(".log")
        )

    def put(self, item: Item, framed: bytes | None) -> None:
        """Write an event at once if nothing else is on its way; otherwise let it wait.

        A job's last waits for the task, which ends the stream. The viewer is dropped if too many wait.

        Args:
            item: comes after all that were put before.
            framed: its frame as a chunk; None if it is to wait for others that are on their way.
        """
        if (
            framed is not None
            and self._is_idle
            and self.writer is not None
            and item.sequence > self.seen
            and not item.is_done
            and self.writer.write(framed)
        ):
            return
        if self.dropped.is_set():
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes > MOST_WAITING_BYTES:
            self.drop()
            return
        self._waiting.append(item)
        self._bytes += len(item.frame)
        self._wake()

    def notify(self, notice: bytes) -> None:
        """Send something that is no stored event; a newer notice takes its place."""
        self._notice = notice
        self._wake()

    def take_notice(self) -> bytes | None:
        """Return the notice that was not sent yet."""
        notice, self._notice = self._notice, None
        return notice

    @property
    def is_finished(self) -> bool:
        """Whether it is dropped and has got all events that waited."""
        return self.dropped.is_set() and not self._waiting

    def drop(self) -> None:
        """End it after the events that wait; it resumes where it was."""
        if not self.dropped.is_set():
            viewers_dropped.inc()
        self.dropped.set()
        self._wake()

    async def take(self, *, within_seconds: float) -> list[Item]:
        """Return all events that wait, as soon as there are any; none if it stays quiet or is dropped."""
        if not self._waiting and not self.dropped.is_set():
            self._is_idle = not self._woken.is_set()
            try:
                async with asyncio.timeout(within_seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass
            finally:
                self._is_idle = False
        taken, self._waiting, self._bytes = self._waiting, [], 0
        self._woken.clear()
        return [item for item in taken if item.sequence > self.seen]

    def _wake(self) -> None:
        self._is_idle = False
        self._woken.set()
