"""What becomes of a container: by deletions that end early, second tries that come late, moves by others."""

from collections import Counter
from functools import partial

import pytest
from integration.inventory.test_acceptance import NODE, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from nats.aio.client import Client
from sqlalchemy import select, text

from slipway.contracts import bulk, clusters, containers, host_state, jobs
from slipway.contracts.guests import GuestStatus
from slipway.contracts.job_kinds import CloneArgs, JobKind, RestoreArgs
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, Problem
from slipway.contracts.values import JobState, Lifecycle, Power
from slipway.inventory import tables
from slipway.inventory.app import LIMITS
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.removal import ContainerRemovalStore
from slipway.inventory.containers.use_cases import decide_discovery, decide_forget
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.jobs.use_cases import decide_vmid
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.clock import now
from support.nats import MakeBus
from support.statements import counted_statements

CALL = Call(actor="me", correlation_id="c")


async def test_a_deletion_that_never_began_leaves_a_whole_container(fleet: Fleet) -> None:  # noqa: F811
    """It is ready as before, and this is published."""
    container = await _made(fleet)
    deletion = await fleet.world.gateway.ask(containers.DeleteContainer(container=container))

    await fleet.take(deletion.job.id, JobState.CANCELLED)

    assert (await _read(fleet, container)).lifecycle is Lifecycle.READY
    assert (await _facts(fleet, container))[-1] == "changed"


async def test_a_creation_is_not_done_again_after_the_deletion(fleet: Fleet) -> None:  # noqa: F811
    """Its container is gone with its secrets, so nothing can go on from where it failed."""
    accepted = await fleet.world.create("web")
    await fleet.take(accepted.job.id, JobState.FAILED)
    asked = containers.DeleteContainer(container=accepted.container.id)
    deletion = await fleet.world.gateway.ask(asked)
    await fleet.take(deletion.job.id, JobState.SUCCEEDED)

    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(jobs.RetryJob(job=accepted.job.id))

    assert refused.value.code == "job.not-retryable"
    assert (await fleet.job(accepted.job.id)).actions == ()


async def test_a_creation_whose_remains_are_gone_begins_anew(fleet: Fleet) -> None:  # noqa: F811
    """Nothing is there from which the failed step could go on."""
    accepted = await fleet.world.create("web")
    await fleet.take(accepted.job.id, JobState.FAILED)
    async with fleet.world.tables.begin() as connection:
        gone = tables.containers.update().values(lifecycle=Lifecycle.DELETED)
        await connection.execute(gone)

    again = await fleet.world.gateway.ask(jobs.RetryJob(job=accepted.job.id))

    async with fleet.world.tables.begin() as connection:
        command = select(tables.jobs.c.command).where(tables.jobs.c.id == again.job.id)
        document = await connection.scalar(command)
    assert jobs.RunJob.model_validate(document).first_step is None


async def test_a_container_is_followed_while_a_job_works_on_it(fleet: Fleet) -> None:  # noqa: F811
    """A waiting job goes with it; the end of one that ran on its old node does not take it back."""
    container = await _made(fleet)
    running = await _backup(fleet, container)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))

    await store.observe(await _seen(fleet, container, "pve2"))
    await fleet.take(running, JobState.SUCCEEDED)
    moved = await _read(fleet, container)
    await _rest(fleet, moved.cluster_id, "pve2")
    waiting = await _backup(fleet, container)
    await store.observe(await _seen(fleet, container, "pve1"))

    assert moved.node == "pve2"
    assert (await _read(fleet, container)).node == "pve1"
    (sent,) = [each for each in await _sent(fleet) if each.job == waiting]
    assert sent.target.node == "pve1"


async def test_what_is_seen_of_a_guest_is_stored_and_published_together(fleet: Fleet) -> None:  # noqa: F811
    """One event says all that changed; a guest that is as it was costs no more than a look."""
    container = await _made(fleet)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    first, second = [await _seen(fleet, container, "pve2") for _ in range(2)]
    published = "select count(*) from outbox where subject like '%.changed'"
    async with fleet.world.tables.begin() as connection:
        before = await connection.scalar(text(published))

    with counted_statements() as statements:
        await store.observe(first)
        news = len(statements)
        await store.observe(second)

    async with fleet.world.tables.begin() as connection:
        after = await connection.scalar(text(published))
    assert (await _read(fleet, container)).node == "pve2"
    assert (news, len(statements) - news) == (3, 3)
    assert after - before == 1


async def test_nothing_is_stored_of_a_deleted_container_nor_changed_by_an_ended_job(fleet: Fleet) -> None:  # noqa: F811
    """What is discovered too late is refused, and so is another VMID."""
    accepted = await fleet.world.create("web")
    unit = UnitOfWork(fleet.world.tables, JobEnqueuer(Queue(LIMITS)))
    discovery = containers.StoreDiscovery(container=accepted.container.id)
    await fleet.take(accepted.job.id, JobState.CANCELLED, exists=False)

    with pytest.raises(Conflict) as discovered:
        await unit.run(CALL, lambda tx: decide_discovery(tx, discovery, {"pw": "sealed"}))
    with pytest.raises(Conflict) as replaced:
        await unit.run(CALL, lambda tx: decide_vmid(tx, accepted.job.id, accepted.container.vmid))

    assert discovered.value.code == "container.illegal-transition"
    assert replaced.value.code == "job.ended"


async def test_a_container_removed_by_hand_gives_up_what_another_wants(
    fleet: Fleet,  # noqa: F811
    make_bus: MakeBus,
) -> None:
    """Its name in any case and its VMID, for a creation and for a copy; it keeps them until then."""
    one, two, source = (str(each.container) for each in (await fleet.job((await fleet.make(3)).job.id)).items)
    await make_bus("provisioner", _nothing_is_there)

    created = await fleet.world.create("WEB-1")
    copy = await _clone(fleet, source, "Web-2")

    assert (await fleet.job(created.job.id)).hostname == "WEB-1"
    assert (await fleet.job(copy)).hostname == "Web-2"
    assert {(await _read(fleet, each)).lifecycle for each in (one, two)} == {Lifecycle.DELETED}
    assert (await _read(fleet, source)).lifecycle is Lifecycle.READY


async def test_a_cancel_sees_where_a_run_stands_now(fleet: Fleet, make_bus: MakeBus, admin: Client) -> None:  # noqa: F811
    """Also if the row lags: past the point of no return it is refused, and not offered."""
    container = await _made(fleet)
    deletion = (await fleet.world.gateway.ask(containers.DeleteContainer(container=container))).job.id
    pause = b'{"pause_until": "2999-01-01T00:00:00Z"}'
    await admin.request("$JS.API.CONSUMER.PAUSE.EVENTS.inventory-records", pause)
    step = jobs.StepStatus(name="delete.task", is_cancellable=False, started_at=now())
    record = (await fleet.record(deletion, JobState.RUNNING)).model_copy(update={"steps": (step,)})
    worker = await make_bus("provisioner")
    await worker.commit(record, (), expected_sequence=0, commit_id=record.commit)

    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(jobs.RequestCancel(job=deletion))

    assert refused.value.code == "job.not-cancellable"
    assert (await fleet.job(deletion)).actions == ()


async def test_forgotten_containers_are_looked_for_in_turns(fleet: Fleet) -> None:  # noqa: F811
    """However many there are, each has its turn."""
    made = (await fleet.job((await fleet.make(4)).job.id)).items
    store = ContainerRemovalStore(fleet.world.tables, at_once=2)
    unit = UnitOfWork(fleet.world.tables, JobEnqueuer(Queue(LIMITS)))
    for each in made:
        await unit.run(CALL, partial(decide_forget, container=str(each.container)))

    seen = [target.container for _ in range(4) for target in await store.forgotten()]

    assert Counter(seen) == {str(each.container): 2 for each in made}


def _nothing_is_there(bus: Bus) -> None:
    """Answer as the provisioner does for a cluster without guests."""

    async def guard(_query: host_state.GetGuard, _call: Call) -> host_state.Guard:
        return host_state.Guard()

    async def check(_query: host_state.CheckVmid, _call: Call) -> host_state.VmidState:
        return host_state.VmidState(is_free=True)

    bus.answer(host_state.GetGuard, guard)
    bus.answer(host_state.CheckVmid, check)


async def test_what_is_being_copied_is_busy(fleet: Fleet) -> None:  # noqa: F811
    """Nothing else is done to it, alone or in a batch, but another copy; the copy's end frees it."""
    source = await _made(fleet)
    copy = await _clone(fleet, source, "copy-1")

    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(containers.DeleteContainer(container=source))
    vmid = (await _read(fleet, source)).vmid
    batch = await fleet.ask(bulk.RequestBatch(kind=JobKind.START, selection=str(vmid)))
    await _clone(fleet, source, "copy-2")

    assert (refused.value.code, refused.value.details["job"]) == ("job.active", copy)
    (item,) = (await fleet.job(batch.job.id)).items
    assert item.error is not None
    assert item.error.code == "job.active"


async def test_a_copy_is_done_again_from_where_its_source_is(fleet: Fleet) -> None:  # noqa: F811
    """The source has been moved since."""
    source = await _made(fleet)
    copy = await _clone(fleet, source, "copy")
    await fleet.take(copy, JobState.CANCELLED, exists=False)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    await store.observe(await _seen(fleet, source, "pve2"))

    again = await fleet.world.gateway.ask(jobs.RetryJob(job=copy))

    (sent,) = [each for each in await _sent(fleet) if each.job == again.job.id]
    assert sent.source is not None
    assert (sent.source.container, sent.source.node) == (source, "pve2")
    assert sent.target.node == "pve2"


async def _clone(fleet: Fleet, source: Id, hostname: str) -> Id:  # noqa: F811
    args = CloneArgs(hostname=hostname)
    asked = jobs.RequestJob(container=source, kind=JobKind.CLONE, args=args)
    return (await fleet.world.gateway.ask(asked)).job.id


async def _made(fleet: Fleet) -> Id:  # noqa: F811
    """Make one container."""
    (item,) = (await fleet.job((await fleet.make(1)).job.id)).items
    return str(item.container)


async def _read(fleet: Fleet, container: Id) -> containers.Container:  # noqa: F811
    return await fleet.world.gateway.ask(containers.GetContainer(container=container))


async def _facts(fleet: Fleet, container: Id) -> list[str]:  # noqa: F811
    """Return what is left for the bus about a container, in its order."""
    async with fleet.world.tables.begin() as connection:
        rows = await connection.execute(
            text("select subject from outbox where subject like :of order by id"),
            {"of": f"slipway.v1.event.container.{container}.%"},
        )
        return [row.subject.rpartition(".")[2] for row in rows]


async def _backup(fleet: Fleet, container: Id) -> Id:  # noqa: F811
    asked = jobs.RequestJob(container=container, kind=JobKind.BACKUP)
    return (await fleet.world.gateway.ask(asked)).job.id


async def _seen(fleet: Fleet, container: Id, node: str) -> GuestStatus:  # noqa: F811
    """Return what monitor sees of a container now, on a node."""
    guest = await _read(fleet, container)
    return GuestStatus(
        id=f"{guest.cluster_id}-{guest.vmid}",
        cluster=guest.cluster_id,
        node=node,
        vmid=guest.vmid,
        name=guest.hostname,
        power=Power.RUNNING,
        observed_at=now(),
    )


async def _rest(fleet: Fleet, cluster: Id, node: str) -> None:  # noqa: F811
    """Add a node, in maintenance."""
    await fleet.observe(cluster, NODE.model_copy(update={"node": node}))
    await fleet.world.gateway.ask(clusters.SetMaintenance(cluster=cluster, node=node, is_on=True))


async def _sent(fleet: Fleet) -> list[jobs.RunJob]:  # noqa: F811
    """Return the run commands that are left for the bus."""
    async with fleet.world.tables.begin() as connection:
        rows = await connection.execute(
            text("select payload from outbox where subject = :it order by id"), {"it": jobs.RunJob.subject}
        )
        return [jobs.RunJob.model_validate_json(row.payload) for row in rows]


async def test_what_a_restore_has_lost_is_stored_for_the_next_one(
    fleet: Fleet,  # noqa: F811
    make_bus: MakeBus,
) -> None:
    """It is failed and says why, keeps name and VMID, takes another restore, and is ready after it."""
    container = await _made(fleet)
    await make_bus("provisioner", _nothing_is_there)
    first = await _restore(fleet, container)
    await _lose(fleet, first)
    lost = await _read(fleet, container)

    with pytest.raises(Conflict) as taken:
        await fleet.world.create(lost.hostname)
    second = await _restore(fleet, container)
    command = next(each for each in await _sent(fleet) if each.job == second)
    await fleet.take(second, JobState.SUCCEEDED)

    ready = await _read(fleet, container)
    assert (lost.lifecycle, lost.warnings) == (Lifecycle.FAILED, ("container-lost",))
    assert taken.value.code == "hostname.taken"
    assert command.ran_before
    assert (ready.lifecycle, ready.warnings, ready.vmid) == (Lifecycle.READY, (), lost.vmid)
    assert (await fleet.job(first)).actions == ()
    assert (await _facts(fleet, container))[-2:] == ["failed", "ready"]


async def test_a_lost_container_is_restored_or_deleted(fleet: Fleet) -> None:  # noqa: F811
    """The job offers both, and no second try of the same archive."""
    container = await _made(fleet)
    restore = await _restore(fleet, container)
    await _lose(fleet, restore)

    assert (await fleet.job(restore)).actions == ("restore", "delete")


async def _restore(fleet: Fleet, container: Id) -> Id:  # noqa: F811
    vmid = (await _read(fleet, container)).vmid
    args = RestoreArgs(backup=f"local:backup/vzdump-lxc-{vmid}-2026_02_03-04_05_06.tar.zst")
    asked = jobs.RequestJob(container=container, kind=JobKind.RESTORE, args=args)
    return (await fleet.world.gateway.ask(asked)).job.id


async def _lose(fleet: Fleet, job: Id) -> None:  # noqa: F811
    """Take the end of a restore that failed after the container was removed; it ran before."""
    steps = (
        jobs.StepStatus(name="restore.look", status="finished", started_at=now(), facts={"ran": "yes"}),
        jobs.StepStatus(name="restore.task", status="failed", started_at=now()),
    )
    error = Problem(code="restore.container-lost", message="gone")
    changes = {"steps": steps, "error": error}
    record = (await fleet.record(job, JobState.FAILED, exists=False)).model_copy(update=changes)
    await fleet.store(record, 1)
