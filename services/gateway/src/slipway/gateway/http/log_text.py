"""A job's whole log as text: parts of a line joined, each line once, in the order they came.

A line may be as long as a guest likes: one longer than a MiB comes in pieces, each as a line.
"""

from collections.abc import AsyncIterator, Iterable

from slipway.contracts.job_events import JobLog
from slipway.gateway.streams.job_logs import Pages, open_job_log
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent
from slipway.runtime.bus.stored import read_page
from slipway.runtime.topology.declared import EVENTS

PAGE = 64
"""How many stored messages are read at once: one may have 64 KiB."""
LONGEST_LINE = 1024 * 1024
"""The most characters of an open line that are held."""


class LogText:
    """Joins the parts of lines; those of stdout and stderr may alternate, in logs of older builds."""

    def __init__(self) -> None:
        self._step = ""
        self._parts: dict[str, list[str]] = {}
        self._lengths: dict[str, int] = {}
        self._unfinished = ""

    def add(self, message: JobLog) -> Iterable[str]:
        """Return the lines that a message completes."""
        if message.step != self._step:
            yield from self.rest()
            self._step = message.step
        self._unfinished = ""
        if message.is_unfinished:
            self._unfinished = message.lines[0].text
            return
        for line in message.lines:
            self._parts.setdefault(line.stream, []).append(line.text)
            length = self._lengths.pop(line.stream, 0) + len(line.text)
            if not line.more or length >= LONGEST_LINE:
                yield "".join(self._parts.pop(line.stream)) + "\n"
            else:
                self._lengths[line.stream] = length

    def rest(self) -> Iterable[str]:
        """Return the lines that have no end."""
        parts, self._parts, self._lengths = self._parts, {}, {}
        yield from ("".join(each) + "\n" for each in parts.values())
        if self._unfinished:
            yield f"{self._unfinished}\n"
        self._unfinished = ""


async def log_of(bus: Bus, job: str, *, is_over: bool) -> AsyncIterator[str]:
    """Open a job's log, page by page: where it is stored if the job has ended, else on the bus."""
    stored = await open_job_log(bus, job) if is_over else None
    return _texts(stored or _stored(bus, job))


async def _texts(pages: Pages) -> AsyncIterator[str]:
    text = LogText()
    async for page in pages:
        for event in page:
            if event.subject.endswith(".log"):
                yield "".join(text.add(JobLog.model_validate_json(event.payload)))
    yield "".join(text.rest())


async def _stored(bus: Bus, job: str) -> Pages:
    subject, after = JobLog.subject.replace("{id}", job), 0
    while True:
        page = await read_page(bus.connection, EVENTS, subject=subject, from_sequence=after + 1, most=PAGE)
        if not page.messages:
            return
        yield [StoredEvent(each.sequence, each.subject, each.payload) for each in page.messages]
        after = page.messages[-1].sequence
