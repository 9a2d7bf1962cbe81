"""Log lines: each is stored once and in order, or none after it is."""

import asyncio
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_events import JobLog
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Event
from slipway.contracts.problems import Failed
from slipway.provisioner.engine import events
from slipway.provisioner.engine.journal import RunJournal, finish_despite_cancel
from slipway.provisioner.engine.records import Runs
from slipway.provisioner.engine.step_log import FLUSH_BYTES, LONGEST_PART, open_log
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.stored import read_all
from slipway.runtime.errors import BusUnavailable
from support.nats import MakeBus
from support.waiting import until

TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=100, hostname="web-1")
RUN = RunJob(job="j1", kind=JobKind.CREATE, target=TARGET, spec=ContainerSpec(hostname="web-1"))
LOG_CONTEXT = JobLog(id="j1", step="a", lines=(), offset=0)


class FlushedJournal(RunJournal):
    """A journal whose log messages take their time, and of which some are not stored."""

    refused = 0
    seconds = 0.0
    begun = 0

    async def publish(self, event: Event, message_id: str) -> int:
        """Refuse as many as were ordered, and store the others late."""
        self.begun += 1
        if isinstance(event, JobLog) and self.refused > 0:
            self.refused -= 1
            raise BusUnavailable("The bus did not confirm a message.")
        await asyncio.sleep(self.seconds)
        return await super().publish(event, message_id)


@pytest.fixture
async def bus(make_bus: MakeBus) -> Bus:
    """The provisioner's bus."""
    return await make_bus("provisioner")


@pytest.fixture
async def journal(bus: Bus) -> FlushedJournal:
    """The journal of a run that was claimed."""
    runs = Runs(bus)
    return FlushedJournal(bus, runs, await runs.claim(RUN, at=datetime(2026, 1, 1, tzinfo=UTC)))


async def write(
    journal: RunJournal, *lines: str, then: Exception | None = None, seconds: float = 0.0
) -> None:
    """Write lines into the log of a step, a while after each; then end, perhaps badly."""
    async with open_log(journal, LOG_CONTEXT) as log:
        for offset, line in enumerate(lines, start=1):
            await log.add("stdout", line, offset)
            await asyncio.sleep(seconds)
        if then is not None:
            raise then


async def stored(admin: Client) -> list[str]:
    """Return what was published, line by line; parts of one are joined."""
    messages = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.log")
    lines = [line for each in messages for line in JobLog.model_validate_json(each.payload).lines]
    text = "".join(line.text if line.more else f"{line.text}\n" for line in lines)
    return text.splitlines()


async def test_last_lines_before_an_error_are_published(journal: RunJournal, admin: Client) -> None:
    """They say why it failed."""
    with pytest.raises(Failed):
        await write(journal, "ERROR: no space left", then=Failed("exit code 1"))

    assert await stored(admin) == ["ERROR: no space left"]


async def test_lines_after_one_that_was_not_stored_are_not_published(
    journal: FlushedJournal, admin: Client
) -> None:
    """A later owner goes on from the last offset that is stored: a gap would never be filled."""
    journal.refused = 1

    with pytest.raises(BusUnavailable):
        await write(journal, *("line" for _ in range(200)), seconds=0.005)

    assert await stored(admin) == []


async def test_what_could_not_be_stored_outweighs_the_error(journal: FlushedJournal) -> None:
    """The delivery comes again, and meets the error again after it has published the lines."""
    journal.refused = 1

    with pytest.raises(BusUnavailable):
        await write(journal, "first", then=Failed("exit code 1"))


async def test_a_step_that_is_left_and_entered_again_knows_what_was_published(
    journal: FlushedJournal,
) -> None:
    """No message is still on its way then."""
    journal.seconds = 0.5

    with pytest.raises(Failed):
        await write(journal, "first", then=Failed("cut off"), seconds=0.4)
    last = await journal.last_log()

    assert last is not None
    assert last.offset == 1


async def test_a_cancel_leaves_no_message_half_way(journal: FlushedJournal, admin: Client) -> None:
    """What waits is published before the cancel takes effect."""
    journal.seconds = 0.3

    running = asyncio.create_task(write(journal, "first", seconds=60))
    await asyncio.sleep(0.4)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await stored(admin) == ["first"]


async def test_a_long_line_is_whole_beside_the_clock(journal: FlushedJournal, admin: Client) -> None:
    """Its parts are never published under the number of the line before."""
    journal.seconds = 0.2
    long = "".join(chr(97 + n % 26) for n in range(LONGEST_PART * 4 + 5))

    await write(journal, "x" * FLUSH_BYTES, long, "last")

    assert await stored(admin) == ["x" * FLUSH_BYTES, long, "last"]


async def test_first_line_is_published_at_once_and_those_that_follow_are_gathered(
    journal: FlushedJournal, admin: Client
) -> None:
    """Who looks sees the first within the time of one write; a burst costs few messages."""
    async with open_log(journal, LOG_CONTEXT) as log:
        await log.add("stdout", "first", 1)
        for _ in range(10):
            await asyncio.sleep(0)  # turns of the loop, no time
        begun = journal.begun
        for offset in range(2, 40):
            await asyncio.sleep(0.002)
            await log.add("stdout", "more", offset)

    messages = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.log")
    lines = [len(JobLog.model_validate_json(each.payload).lines) for each in messages]
    assert (begun, lines[0], sum(lines)) == (1, 1, 39)
    assert len(lines) <= 10


async def test_a_line_without_an_end_is_shown_before_it(journal: RunJournal, admin: Client) -> None:
    """It comes after the lines before it, moves no offset, and is followed by the whole line."""
    async with open_log(journal, LOG_CONTEXT) as log:
        await log.add("stdout", "first", 6)
        for percent in range(30):
            log.show_unfinished(f"{percent} %")
            await asyncio.sleep(0.1)
        before = await journal.last_log()
        await log.add("stdout", "100 %", 300)

    messages = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.log")
    logs = [JobLog.model_validate_json(each.payload) for each in messages]
    assert before is not None
    assert (before.offset, before.is_unfinished) == (6, True)
    assert [(each.is_unfinished, each.offset) for each in logs] == [
        (False, 6),
        *[(True, 6)] * (len(logs) - 2),
        (False, 300),
    ]
    assert 2 <= len(logs) - 2 <= 3
    assert [each.logged_bytes for each in logs] == sorted({each.logged_bytes for each in logs})
    assert list(journal.last_lines) == ["first", "100 %"]


async def test_a_commit_is_never_cut(journal: RunJournal) -> None:
    """What it wrote is known to the next one, cancelled or not."""
    committing = asyncio.create_task(journal.commit(percent=20))
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await journal.commit(warnings=("later",))

    assert (journal.record.percent, journal.record.warnings) == (20, ("later",))


async def test_what_is_deferred_is_written_soon(journal: RunJournal, bus: Bus, admin: Client) -> None:
    """People see a step begin though nothing else is written for a while."""
    journal.defer(events.progress(journal.record, "it looks"), percent=20)
    first = await _percent(bus)

    await until(lambda: _is(bus, percent=20))

    subject = "slipway.v1.event.job.j1.progress"
    assert first == 0
    assert len(await read_all(admin, "EVENTS", subject=subject)) == 1
    assert journal.record.percent == 20


async def test_what_is_deferred_leaves_before_the_next_line(journal: RunJournal, admin: Client) -> None:
    """Nobody sees the lines of a step that has not begun."""
    journal.defer(events.progress(journal.record, "it begins"))

    await write(journal, "its first line")

    stored = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.*")
    assert [each.subject.rpartition(".")[2] for each in stored] == ["progress", "log"]


async def test_what_is_deferred_during_a_write_is_written_once(
    journal: RunJournal, bus: Bus, admin: Client
) -> None:
    """Neither lost with what is on its way nor sent again."""
    journal.defer(events.progress(journal.record, "first"), percent=10)
    committing = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    journal.defer(events.progress(journal.record, "second"), warnings=("late",))
    await committing
    shown = journal.record
    await journal.flush()

    stored = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.progress")
    record, _ = await Runs(bus).load("j1") or (None, 0)
    assert len(stored) == 2
    assert record is not None
    assert (record.percent, record.warnings) == (shown.percent, shown.warnings) == (10, ("late",))


async def test_last_line_is_asked_for_once(journal: RunJournal, admin: Client) -> None:
    """Who writes the log knows it; a step of two pieces of work asks twice for where it stands."""
    await write(journal, "first")
    first = await journal.last_log()
    await admin.jetstream().purge_stream("EVENTS", subject="slipway.v1.event.job.j1.log")

    assert first is not None
    assert await journal.last_log() == first


async def _is(bus: Bus, *, percent: int) -> bool:
    return await _percent(bus) == percent


async def _percent(bus: Bus) -> int:
    record, _ = await Runs(bus).load("j1") or (None, 0)
    return record.percent if record is not None else -1


async def test_what_was_begun_ends_before_the_cancel() -> None:
    """However often it is cancelled."""
    ended = asyncio.Event()

    async def act() -> None:
        await asyncio.sleep(0.2)
        ended.set()

    doing = asyncio.create_task(finish_despite_cancel(act()))
    for _ in range(3):
        await asyncio.sleep(0.02)
        doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing

    assert ended.is_set()
