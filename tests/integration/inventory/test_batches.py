"""Batches on a real bus and database: accepted item by item, shown as one job log, cancelled, done again."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from integration.inventory.test_acceptance import ARCHIVE, World, world  # noqa: F401  a fixture
from nats.aio.client import Client
from sqlalchemy import select, text

from slipway.contracts import batches, bulk, cluster_facts, container_specs, containers, jobs
from slipway.contracts.job_kinds import ConfigureArgs, JobKind, MigrateArgs, NoArgs, ShutdownArgs
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, Forbidden, Invalid, Unavailable
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory import tables
from slipway.inventory.app import LIMITS
from slipway.inventory.clusters.use_cases import decide_observation
from slipway.inventory.jobs import records
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call, using
from slipway.runtime.process.ids import new_id

AT = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = container_specs.ContainerSpec(hostname="web", ostemplate=ARCHIVE, tags=("Prod",))


@dataclass
class Fleet:
    """Containers that exist, and whoever works on them."""

    world: World
    unit: UnitOfWork

    async def job(self, job: Id) -> jobs.Job:
        """Read a job."""
        return await self.world.gateway.ask(jobs.GetJob(job=job))

    async def end(self, batch: Id, state: JobState = JobState.SUCCEEDED, *, most: int = 1000) -> None:
        """End jobs of a batch as their records do."""
        items = [each for each in (await self.job(batch)).items if not each.state.is_terminal and each.job]
        for item in items[:most]:
            await self.take(str(item.job), state)

    async def take(self, job: Id, state: JobState, *, exists: bool = True, **changes: object) -> None:
        """Take a record of a job."""
        record = await self.record(job, state, exists=exists)
        record = record.model_copy(update=changes)
        async with self.world.tables.begin() as connection:
            query = select(tables.jobs.c.record_sequence).where(tables.jobs.c.id == job)
            sequence = (await connection.scalars(query)).one()
        await self.store(record, sequence + 1)

    async def observe(self, cluster: Id, facts: cluster_facts.NodeFacts) -> None:
        """Store what is seen of a node."""
        call = Call(actor="monitor", correlation_id=new_id())
        await self.unit.run(call, lambda tx: decide_observation(tx, cluster, facts))

    async def store(self, record: jobs.RunRecord, sequence: int) -> None:
        """Store a record of a job."""
        with using(Call(actor="provisioner", correlation_id=new_id())):
            await records.store(self.unit, record, sequence)

    async def record(self, job: Id, state: JobState, *, exists: bool = True) -> jobs.RunRecord:
        """Return a record of a job."""
        async with self.world.tables.begin() as connection:
            row = (await connection.execute(select(tables.jobs).where(tables.jobs.c.id == job))).one()
        command = jobs.RunJob.model_validate(row.command)
        return jobs.RunRecord(
            id=job,
            kind=command.kind,
            state=state,
            claim=1,
            commit="c",
            owner="o",
            target=command.target,
            exists_on_host=exists,
            percent=100 if state.is_terminal else 10,
            started_at=AT,
            finished_at=AT if state.is_terminal else None,
        )

    async def make(self, count: int) -> bulk.BatchAccepted:
        """Create containers like one another, and let them be built."""
        accepted = await self.create(count)
        await self.end(accepted.job.id)
        return accepted

    async def create(self, count: int, *, key: str | None = None, **changes: object) -> bulk.BatchAccepted:
        """Ask for containers like one another."""
        spec = SPEC.model_copy(update=changes)
        with using(Call(actor="me", correlation_id=new_id(), idempotency_key=key)):
            return await self.world.gateway.ask(bulk.CreateContainers(spec=spec, count=count))

    async def ask(self, query: bulk.RequestBatch, *, actor: str = "me") -> bulk.BatchAccepted:
        """Ask for a batch."""
        with using(Call(actor=actor, correlation_id=new_id())):
            return await self.world.gateway.ask(query)

    async def facts(self, batch: Id) -> Sequence[str]:
        """Return what is left for the bus about a batch, in its order."""
        async with self.world.tables.begin() as connection:
            rows = await connection.execute(
                text("select subject from outbox where subject like :of order by id"),
                {"of": f"slipway.v1.event.job.{batch}.%"},
            )
            return [row.subject.rpartition(".")[2] for row in rows]


@pytest.fixture
async def fleet(world: World) -> Fleet:  # noqa: F811  the fixture
    """Return an empty fleet on one node."""
    await world.add()
    return Fleet(world, UnitOfWork(world.tables, JobEnqueuer(Queue(LIMITS))))


def start(selection: str) -> bulk.RequestBatch:
    """Ask for a start."""
    return bulk.RequestBatch(kind=JobKind.START, selection=selection)


async def test_several_like_one_get_the_next_free_names_and_secrets_of_their_own(fleet: Fleet) -> None:
    """A name that is taken is passed over; each container has another password."""
    await fleet.world.create("web-2")

    accepted = await fleet.create(3)

    job = await fleet.job(accepted.job.id)
    assert [each.hostname for each in job.items] == ["web-1", "web-3", "web-4"]
    assert len({each.vmid for each in job.items}) == 3
    assert (job.kind, job.items_kind, job.container) == (JobKind.BATCH, JobKind.CREATE, None)
    async with fleet.world.tables.begin() as connection:
        sealed = list(await connection.scalars(select(tables.credentials.c.sealed)))
    assert len(set(sealed)) == 4


async def test_ways_out_are_open_while_the_bus_is_almost_full(fleet: Fleet, admin: Client) -> None:
    """Stopping and deleting, one or many, are accepted; what adds something is refused."""
    await fleet.make(2)
    one = (await fleet.world.gateway.ask(containers.ListContainers())).items[0].id
    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.DELETE, selection="name:*"))
    config = (await admin.jetstream().stream_info("EVENTS")).config
    await admin.jetstream().publish("slipway.v1.event.job.x.log", b"x" * 90_000)
    await admin.jetstream().update_stream(config.evolve(max_bytes=100_000))
    await fleet.world.inventory.measure()

    with pytest.raises(Unavailable, match="Stopping, deleting and cancelling go on"):
        await fleet.create(2)
    with pytest.raises(Unavailable, match="EVENTS"):
        await fleet.world.gateway.ask(jobs.RequestJob(container=one, kind=JobKind.BACKUP))
    stop = await fleet.world.gateway.ask(jobs.RequestJob(container=one, kind=JobKind.STOP))
    await fleet.take(stop.job.id, JobState.SUCCEEDED)
    deleted = await fleet.ask(bulk.RequestBatch(kind=JobKind.DELETE, selection="name:*", plan=plan.hash))

    assert [each.job is not None for each in (await fleet.job(deleted.job.id)).items] == [True, True]


async def test_a_repeated_creation_of_many_gets_the_same_batch(fleet: Fleet) -> None:
    """And no container more."""
    first = await fleet.create(2, key="k")

    assert await fleet.create(2, key="k") == first
    with pytest.raises(Conflict):
        await fleet.create(3, key="k")
    assert len((await fleet.world.gateway.ask(containers.ListContainers())).items) == 2


async def test_what_only_one_can_have_is_refused_for_many(fleet: Fleet) -> None:
    """Each fault names its field."""
    fixed = (container_specs.NetworkSpec(ip="10.0.0.5/24"),)
    for changes, field in (({"vmid": 200}, "vmid"), ({"networks": fixed}, "networks.0.ip")):
        with pytest.raises(Invalid) as refused:
            await fleet.create(2, **changes)
        assert [each.field for each in refused.value.errors] == [field]


async def test_a_batch_goes_its_way_with_its_items(fleet: Fleet) -> None:
    """Busy and missing ones are failed items with their reason, the others run; the end counts all."""
    made = await fleet.job((await fleet.make(4)).job.id)
    busy = made.items[0]
    await fleet.ask(start(str(busy.vmid)))

    accepted = await fleet.ask(start("tag:prod,999"))

    job = await fleet.job(accepted.job.id)
    assert accepted.counts == batches.BatchCounts(total=5, queued=3, failed=2)
    codes = [each.error.code if each.error else None for each in job.items]
    assert codes == ["job.active", None, None, None, "container.not-found"]
    assert (job.state, job.percent) == (JobState.RUNNING, 40)
    await fleet.end(job.id)
    ended = await fleet.job(job.id)
    assert (ended.state, ended.percent, ended.actions) == (JobState.FAILED, 100, ("retry",))
    assert ended.error is not None
    assert (ended.error.code, ended.error.details["failed"]) == ("batch.items-failed", "2")
    children = await fleet.world.gateway.ask(jobs.ListJobs(parent=job.id))
    assert {each.parent for each in children.items} == {job.id}
    assert len(children.items) == 3


async def test_a_batch_has_one_job_log_in_order(fleet: Fleet) -> None:
    """Accepted, an item for each change, done last and once."""
    made = await fleet.make(2)

    accepted = await fleet.ask(start("name:web-*"))
    job = await fleet.job(accepted.job.id)
    for item in job.items:
        await fleet.take(str(item.job), JobState.RUNNING)
        await fleet.take(str(item.job), JobState.SUCCEEDED)

    # No relay runs here: what was left for the bus is all there, in its order.
    assert await fleet.facts(made.job.id) == ["accepted"] + ["item"] * 4 + ["done"]
    assert await fleet.facts(accepted.job.id) == ["accepted"] + ["item"] * 6 + ["done"]
    assert (await fleet.job(accepted.job.id)).state is JobState.SUCCEEDED


async def test_what_destroys_needs_the_plan_that_was_shown(fleet: Fleet) -> None:
    """Without it 409 with the hash; a selection that changed since 409 with what changed; else it is done."""
    await fleet.make(2)
    ask = fleet.world.gateway.ask
    plan = await ask(bulk.PlanBatch(kind=JobKind.DELETE, selection="tag:prod"))
    lost = [each.partition(" with ")[0] for each in plan.destroys]
    assert lost == ["container 101 (web-1)", "container 102 (web-2)"]
    request = bulk.RequestBatch(kind=JobKind.DELETE, selection="tag:prod")

    with pytest.raises(Conflict) as needed:
        await ask(request)
    assert (needed.value.code, needed.value.details["plan"]) == ("plan.needed", plan.hash)
    await fleet.make(1)
    with pytest.raises(Conflict) as changed:
        await ask(request.model_copy(update={"plan": plan.hash}))
    assert changed.value.code == "plan.changed"
    assert "new: web-3 (103 on pve1)" in changed.value.message
    accepted = await ask(request.model_copy(update={"plan": changed.value.details["plan"]}))

    assert accepted.counts.queued == 3
    page = await ask(containers.ListContainers())
    assert {each.lifecycle for each in page.items} == {Lifecycle.DELETING}
    await fleet.end(accepted.job.id)
    assert (await ask(containers.ListContainers())).items == ()


async def test_a_retry_that_destroys_needs_its_plan(fleet: Fleet) -> None:
    """The plan names what would be done again, and changes nothing; without its hash the retry is refused."""
    await fleet.make(3)
    ask = fleet.world.gateway.ask
    plan = await ask(bulk.PlanBatch(kind=JobKind.DELETE, selection="tag:prod"))
    first = await fleet.ask(bulk.RequestBatch(kind=JobKind.DELETE, selection="tag:prod", plan=plan.hash))
    await fleet.end(first.job.id, most=1)
    await fleet.end(first.job.id, JobState.FAILED)
    request = bulk.RetryBatch(job=first.job.id)

    shown = await ask(bulk.PlanBatchRetry(job=first.job.id))
    with pytest.raises(Conflict) as needed:
        await ask(request)
    with pytest.raises(Conflict) as changed:
        await ask(request.model_copy(update={"plan": plan.hash}))
    lives = {each.lifecycle for each in (await ask(containers.ListContainers())).items}
    again = await ask(request.model_copy(update={"plan": shown.hash}))

    assert (shown.kind, [each.hostname for each in shown.items]) == (JobKind.DELETE, ["web-2", "web-3"])
    assert len(shown.destroys) == 2
    assert (needed.value.code, needed.value.details["plan"]) == ("plan.needed", shown.hash)
    assert (changed.value.code, lives) == ("plan.changed", {Lifecycle.READY})
    assert again.counts == batches.BatchCounts(total=2, queued=2)


async def test_the_cancel_of_a_batch_is_planned(fleet: Fleet) -> None:
    """It names what has not ended, ends nothing, and is refused as the cancel would be."""
    await fleet.make(3)
    ask = fleet.world.gateway.ask
    accepted = await fleet.ask(start("name:*"))
    await fleet.end(accepted.job.id, most=1)

    plan = await ask(bulk.PlanBatchCancel(job=accepted.job.id))

    assert [each.hostname for each in plan.items] == ["web-2", "web-3"]
    assert (await fleet.job(accepted.job.id)).counts == batches.BatchCounts(total=3, queued=2, succeeded=1)
    with pytest.raises(Invalid) as refused:
        await ask(bulk.PlanBatchCancel(job=accepted.job.id, remove_on_cancel=True))
    assert [each.field for each in refused.value.errors] == ["destroy"]
    await fleet.end(accepted.job.id)
    with pytest.raises(Conflict):
        await ask(bulk.PlanBatchCancel(job=accepted.job.id))


async def test_a_plan_changes_nothing(fleet: Fleet) -> None:
    """No job, no state; asked again it has the same hash, with other arguments another."""
    await fleet.make(1)
    before = await fleet.world.gateway.ask(jobs.ListJobs())

    async def planned(grace: int) -> str:
        args = ShutdownArgs(grace_seconds=grace)
        query = bulk.PlanBatch(kind=JobKind.SHUTDOWN, selection="name:*", args=args)
        return (await fleet.world.gateway.ask(query)).hash

    assert await planned(5) == await planned(5) != await planned(6)
    assert await fleet.world.gateway.ask(jobs.ListJobs()) == before


@pytest.mark.parametrize(
    ("selection", "field"), [("", "selection"), ("tag:none", "selection"), ("12x", "selection")]
)
async def test_a_selection_that_means_nothing_is_refused(fleet: Fleet, selection: str, field: str) -> None:
    """By the field's name."""
    await fleet.make(1)

    with pytest.raises(Invalid) as refused:
        await fleet.ask(start(selection))
    assert [each.field for each in refused.value.errors] == [field]


async def test_arguments_of_a_batch_are_checked_before_anything(fleet: Fleet) -> None:
    """One name for many, or a kind that is not requested this way."""
    await fleet.make(1)
    for kind, args, field in (
        (JobKind.CONFIGURE, ConfigureArgs(hostname="one"), "args.hostname"),
        (JobKind.BATCH, NoArgs(), "kind"),
    ):
        with pytest.raises(Invalid) as refused:
            await fleet.ask(bulk.RequestBatch(kind=kind, selection="name:*", args=args))
        assert [each.field for each in refused.value.errors] == [field]


async def test_arguments_that_do_not_fit_a_container_fail_its_item(fleet: Fleet) -> None:
    """By what is known of its node, and by the argument's name; in a plan as well."""
    await fleet.make(1)
    args = MigrateArgs(target_node="nowhere")

    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.MIGRATE, selection="name:*", args=args))
    accepted = await fleet.ask(bulk.RequestBatch(kind=JobKind.MIGRATE, selection="name:*", args=args))

    (item,) = (await fleet.job(accepted.job.id)).items
    for error in (plan.items[0].error, item.error):
        assert error is not None
        assert error.code == "node.not-found"


async def test_a_batch_reaches_no_further_into_the_host_than_a_job(fleet: Fleet) -> None:
    """What the operator does not allow is refused for each of many as it is for one."""
    await fleet.make(1)
    args = ConfigureArgs(features={"mknod": True})

    accepted = await fleet.ask(bulk.RequestBatch(kind=JobKind.CONFIGURE, selection="name:*", args=args))

    (item,) = (await fleet.job(accepted.job.id)).items
    with pytest.raises(Forbidden) as refused:
        await fleet.world.gateway.ask(
            jobs.RequestJob(container=str(item.container), kind=JobKind.CONFIGURE, args=args)
        )
    assert item.error is not None
    assert (item.job, item.error.code) == (None, refused.value.code)


async def test_cancel_reaches_all_that_has_not_ended_and_a_retry_takes_it_up(fleet: Fleet) -> None:
    """What has ended stays; the batch ends with its last job; a second try has only the rest."""
    await fleet.make(4)
    accepted = await fleet.ask(start("name:*"))
    await fleet.end(accepted.job.id, most=1)

    answer = await fleet.world.gateway.ask(jobs.RequestCancel(job=accepted.job.id))

    assert answer.state is JobState.RUNNING
    async with fleet.world.tables.begin() as connection:
        orders = await connection.scalar(
            text("select count(*) from outbox where subject = 'slipway.v1.command.provisioner.job.cancel'")
        )
    assert orders == 3
    await fleet.end(accepted.job.id, JobState.CANCELLED)
    ended = await fleet.job(accepted.job.id)
    assert (ended.state, ended.counts) == (
        JobState.CANCELLED,
        batches.BatchCounts(total=4, succeeded=1, cancelled=3),
    )
    with pytest.raises(Conflict):
        await fleet.world.gateway.ask(jobs.RequestCancel(job=accepted.job.id))
    again = await fleet.world.gateway.ask(bulk.RetryBatch(job=accepted.job.id))
    job = await fleet.job(again.job.id)
    assert (job.retry_of, len(job.items)) == (accepted.job.id, 3)
    await fleet.end(again.job.id)
    assert (await fleet.job(again.job.id)).state is JobState.SUCCEEDED
    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(bulk.RetryBatch(job=again.job.id))
    assert refused.value.code == "job.not-retryable"


async def test_a_retry_of_what_was_refused_asks_anew(fleet: Fleet) -> None:
    """A busy one that is free by then is taken; one that does not exist fails again, alone."""
    made = await fleet.job((await fleet.make(1)).job.id)
    first = await fleet.ask(start(str(made.items[0].vmid)))
    refused = await fleet.ask(start(f"{made.items[0].vmid},999"))
    await fleet.end(first.job.id)

    again = await fleet.world.gateway.ask(bulk.RetryBatch(job=refused.job.id))

    assert again.counts == batches.BatchCounts(total=2, queued=1, failed=1)
    assert (await fleet.job(refused.job.id)).actions == ("retry",)
    await fleet.end(again.job.id)
    ended = await fleet.job(again.job.id)
    listed = {each.id: each.actions for each in (await fleet.world.gateway.ask(jobs.ListJobs())).items}
    assert (ended.state, ended.actions, listed[ended.id]) == (JobState.FAILED, (), ())


async def test_a_thousand_of_one_person_do_not_hide_what_another_waits_for(fleet: Fleet) -> None:
    """Of two people's batches on one node both begin, however long the first one is."""
    await fleet.make(90)
    names = [f"name:web-{number}" for number in range(1, 81)]
    first = await fleet.ask(start(",".join(names)), actor="ann")
    second = await fleet.ask(start("name:web-81,name:web-82,name:web-83"), actor="bob")

    await fleet.end(first.job.id, most=2)

    async with fleet.world.tables.begin() as connection:
        sent = await connection.execute(
            select(tables.jobs.c.actor, tables.jobs.c.parent_id).where(
                tables.jobs.c.released_at.is_not(None),
                tables.jobs.c.state == JobState.QUEUED,
                tables.jobs.c.parent_id.in_([first.job.id, second.job.id]),
            )
        )
        busy = Counter(row.actor for row in sent)
    assert busy == Counter(ann=LIMITS.jobs - 2, bob=2)


async def test_records_and_a_cancel_at_once_lose_nothing(fleet: Fleet) -> None:
    """Records of many items, taken while their batch is cancelled, add up, and nobody waits for ever."""
    await fleet.make(12)
    accepted = await fleet.ask(start("name:*"))
    items = (await fleet.job(accepted.job.id)).items

    await asyncio.gather(
        *(fleet.take(str(item.job), JobState.RUNNING) for item in items),
        fleet.world.gateway.ask(jobs.RequestCancel(job=accepted.job.id)),
    )
    await asyncio.gather(*(fleet.take(str(item.job), JobState.CANCELLED) for item in items))

    ended = await fleet.job(accepted.job.id)
    assert (ended.state, ended.counts) == (
        JobState.CANCELLED,
        batches.BatchCounts(total=12, cancelled=12),
    )
    assert (await fleet.facts(accepted.job.id)).count("done") == 1
