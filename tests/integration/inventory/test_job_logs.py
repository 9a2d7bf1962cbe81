"""Logs of ended jobs are stored from a real bus in a real database; what is old goes."""

import base64
from datetime import UTC, datetime, timedelta

from integration.inventory.test_acceptance import World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet
from nats.aio.client import Client
from sqlalchemy import func, select, update

from slipway.contracts import job_events, job_logs, jobs
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory import tables
from slipway.inventory.app import LIMITS
from slipway.inventory.job_logs.archive import JobLogArchiver
from slipway.inventory.job_logs.store import JobLogStore
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.retention.schedule import Retention
from slipway.inventory.retention.store import RetentionStore
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.job_logs import StoredEvent, unpack
from slipway.runtime.process.clock import now
from slipway.runtime.topology.declared import EVENTS
from support.nats import MakeBus

AT = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_a_job_log_outlives_the_bus(world: World, make_bus: MakeBus, admin: Client) -> None:  # noqa: F811
    """It is stored once it has ended, with the sequences it had, and stays when the bus has forgotten it."""
    fleet = await _fleet(world)
    job = (await world.create("web")).job.id
    provisioner, inventory = await make_bus("provisioner"), await make_bus("inventory")
    keeper = JobLogArchiver(inventory, JobLogStore(world.tables))
    sequences = [await provisioner.publish(_line(job, n), message_id=f"{job}:{n}") for n in range(150)]
    await fleet.take(job, JobState.SUCCEEDED)
    await _ended_now(world, job)

    await keeper.keep_all()
    before = await world.gateway.ask(job_logs.GetJobLog(job=job))
    done = job_events.JobDone(id=job, state=JobState.SUCCEEDED, percent=100, at=AT)
    sequences.append(await provisioner.publish(done, message_id=f"{job}:done"))
    await keeper.keep_all()
    await admin.jetstream().purge_stream(EVENTS, subject=f"slipway.v1.event.job.{job}.>")
    await keeper.keep_all()

    assert before == job_logs.JobLogPart()
    events = await _events(world, job)
    assert [each.sequence for each in events] == sequences
    assert job_events.JobLog.model_validate_json(events[7].payload) == _line(job, 7)
    assert await _events(world, job, after=sequences[-2]) == events[-1:]
    assert await _events(world, job, after=sequences[-1]) == []


async def test_a_job_log_without_an_end_is_stored_after_an_hour(world: World, make_bus: MakeBus) -> None:  # noqa: F811
    """Whoever looks for job logs does not look for it for ever."""
    fleet = await _fleet(world)
    job = (await world.create("web")).job.id
    provisioner, inventory = await make_bus("provisioner"), await make_bus("inventory")
    sequence = await provisioner.publish(_line(job, 1), message_id=f"{job}:1")
    await fleet.take(job, JobState.FAILED)  # at AT, long ago

    store = JobLogStore(world.tables)
    waiting = await store.unarchived()
    await JobLogArchiver(inventory, store).keep_all()

    assert [each.id for each in waiting] == [job]
    assert [each.sequence for each in await _events(world, job)] == [sequence]
    assert await store.unarchived() == []


async def test_old_jobs_go_but_a_containers_newest(world: World) -> None:  # noqa: F811
    """A job that ended long ago goes with its job log; what runs, is young, or is the newest stays."""
    fleet = await _fleet(world)
    first = await world.create("web")
    await fleet.take(first.job.id, JobState.FAILED)
    await JobLogStore(world.tables).keep(first.job.id, [], at=AT)
    again = await world.gateway.ask(jobs.RetryJob(job=first.job.id))
    await fleet.take(again.job.id, JobState.FAILED)
    running = await world.create("other")
    await fleet.take(running.job.id, JobState.RUNNING)

    await Retention(RetentionStore(world.tables), jobs=10_000 * DAY, audit=DAY).remove_all()
    all_of_them = await _jobs(world)
    await Retention(RetentionStore(world.tables), jobs=DAY, audit=DAY).remove_all()

    assert all_of_them == {first.job.id, again.job.id, running.job.id}
    assert await _jobs(world) == {again.job.id, running.job.id}


async def test_a_container_that_was_deleted_goes_with_its_jobs(world: World) -> None:  # noqa: F811
    """And with its secrets; one that lives, or is only forgotten, keeps its newest job."""
    fleet = await _fleet(world)
    made = (await fleet.job((await fleet.make(3)).job.id)).items
    gone, forgotten, living = (str(each.container) for each in made)
    async with world.tables.begin() as connection:
        one = tables.containers.c
        deleted = update(tables.containers).values(lifecycle="deleted", updated_at=AT)
        await connection.execute(deleted.where(one.id == gone))
        await connection.execute(deleted.where(one.id == forgotten).values(forgotten_as="ready"))

    await Retention(RetentionStore(world.tables), jobs=DAY, audit=DAY).remove_all()

    async with world.tables.begin() as connection:
        left = set(await connection.scalars(select(tables.containers.c.id)))
        secrets = set(await connection.scalars(select(tables.credentials.c.container_id)))
    assert left == secrets == {forgotten, living}
    assert await _jobs(world) & {str(each.job) for each in made} == {str(each.job) for each in made[1:]}


async def test_old_entries_and_keys_go(world: World) -> None:  # noqa: F811
    """An audit entry and a key of before go; a young one stays, and its key still gives the same answer."""
    await _fleet(world)
    await world.create("old", key="k1")
    past = now() - 3 * DAY
    async with world.tables.begin() as connection:
        await connection.execute(update(tables.audit).values(at=past))
        await connection.execute(update(tables.idempotency).values(created_at=past))
    young = await world.create("young", key="k2")

    await Retention(RetentionStore(world.tables), jobs=10_000 * DAY, audit=2 * DAY).remove_all()

    async with world.tables.begin() as connection:
        entries = await connection.scalar(select(func.count()).select_from(tables.audit))
        keys = list(await connection.scalars(select(tables.idempotency.c.key)))
    assert entries == 1
    assert keys == ["k2"]
    assert await world.create("young", key="k2") == young


async def _fleet(world: World) -> Fleet:  # noqa: F811
    await world.add()
    return Fleet(world, UnitOfWork(world.tables, JobEnqueuer(Queue(LIMITS))))


async def _ended_now(world: World, job: Id) -> None:  # noqa: F811
    async with world.tables.begin() as connection:
        await connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(finished_at=now()))


async def _jobs(world: World) -> set[str]:  # noqa: F811
    async with world.tables.begin() as connection:
        return set(await connection.scalars(select(tables.jobs.c.id)))


async def _events(world: World, job: Id, *, after: int = 0) -> list[StoredEvent]:  # noqa: F811
    events: list[StoredEvent] = []
    last = after
    while True:
        part = await world.gateway.ask(job_logs.GetJobLog(job=job, after=last))
        assert part.is_stored
        if not part.packed:
            return [each for each in events if each.sequence > after]
        events += unpack(base64.b64decode(part.packed))
        last = events[-1].sequence


def _line(job: Id, number: int) -> job_events.JobLog:
    text = f"line {number} ü" + "x" * 4000
    return job_events.JobLog(
        id=job, step="s", lines=(job_events.LogLine(stream="stdout", text=text),), offset=number + 1
    )
