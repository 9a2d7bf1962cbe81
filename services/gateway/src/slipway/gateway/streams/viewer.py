"""One viewer of an event stream: which events it gets, and those that wait for it.

An event is encoded once for all viewers. A viewer for whom too many events wait is dropped: it resumes at
the last event that it has got.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from prometheus_client import Counter

from slipway.runtime.process.metrics import REGISTRY

JOB_PREFIX = "slipway.v1.event.job."
EVENT_PREFIX = "slipway.v1.event."
MOST_WAITING = 2048
MOST_WAITING_BYTES = 8 * 1024 * 1024

viewers_dropped = Counter(
    "slipway_gateway_viewers_dropped", "Streams closed because slow.", registry=REGISTRY
)


@dataclass(frozen=True, slots=True)
class Item:
    """One event, encoded for every viewer."""

    sequence: int
    subject: str
    frame: bytes
    """As it goes over the wire."""

    @classmethod
    def of(cls, sequence: int, subject: str, payload: bytes) -> "Item":
        """Encode an event; JSON may hold line breaks between its parts, which would end the line here."""
        name = subject.rpartition(".")[2].encode()
        if b"\n" in payload or b"\r" in payload:
            payload = payload.replace(b"\r", b" ").replace(b"\n", b" ")
        return cls(sequence, subject, b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, name, payload))


@dataclass(eq=False, slots=True)
class Viewer:
    """Someone who watches one job, or the fleet; holds the events that were not sent to them yet."""

    job: str | None
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when too many events waited; no newer ones are added, so that there is no gap."""
    _waiting: list[Item] = field(default_factory=list)
    _bytes: int = 0
    _notice: bytes | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

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

    def put(self, item: Item) -> None:
        """Add an event to those that wait; drop the viewer if too many do."""
        if self.dropped.is_set():
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes > MOST_WAITING_BYTES:
            self.drop()
            return
        self._waiting.append(item)
        self._bytes += len(item.frame)
        self._woken.set()

    def notify(self, notice: bytes) -> None:
        """Send something that is no stored event; a newer notice takes its place."""
        self._notice = notice
        self._woken.set()

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
        self._woken.set()

    async def take(self, *, within_seconds: float) -> list[Item]:
        """Return all events that wait, as soon as there are any; none if it stays quiet or is dropped."""
        if not self._waiting and not self.dropped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), within_seconds)
        taken, self._waiting, self._bytes = self._waiting, [], 0
        self._woken.clear()
        return taken
