"""What is shown of a container right after a job: the list of guests is up to ten seconds old."""

from collections.abc import Sequence
from datetime import timedelta

from integration.inventory.test_acceptance import World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture

from slipway.contracts import containers, jobs
from slipway.contracts.configs import HostConfig
from slipway.contracts.guests import GuestStatus
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id, Moment
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState, Lifecycle, Power
from slipway.inventory import tables
from slipway.inventory.app import LIMITS
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.jobs.queue import Queue
from slipway.runtime.process.clock import now


async def test_an_old_list_does_not_undo_what_a_job_has_read(fleet: Fleet) -> None:  # noqa: F811
    """A container that a job left stopped stays so: monitor is asked to look at the guest itself."""
    container = await _made(fleet)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    rolled = await _job(fleet, container, JobKind.ROLLBACK, snapshot="before")
    config = HostConfig(read_at=now(), power=Power.STOPPED, hostname=(await _read(fleet, container)).hostname)
    record = await fleet.record(rolled, JobState.SUCCEEDED)
    await fleet.store(record.model_copy(update={"config": config}), 1)

    await store.observe(await _seen(fleet, container, config.read_at + timedelta(seconds=3)))
    soon = await _read(fleet, container)
    await store.observe(await _seen(fleet, container, config.read_at + timedelta(seconds=12)))
    later = await _read(fleet, container)

    assert (soon.power, "config-unread" in soon.warnings) == (Power.STOPPED, True)
    assert later.power is Power.RUNNING


async def test_an_old_list_that_comes_before_the_end_of_a_job(fleet: Fleet) -> None:  # noqa: F811
    """It was asked after the job had read the container; the end of the job is news nevertheless."""
    container = await _made(fleet)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    rolled = await _job(fleet, container, JobKind.ROLLBACK, snapshot="before")
    config = HostConfig(read_at=now(), power=Power.STOPPED, hostname=(await _read(fleet, container)).hostname)

    await store.observe(await _seen(fleet, container, config.read_at + timedelta(seconds=3)))
    before = await _read(fleet, container)
    record = await fleet.record(rolled, JobState.SUCCEEDED)
    await fleet.store(record.model_copy(update={"config": config}), 1)

    assert (before.power, (await _read(fleet, container)).power) == (Power.RUNNING, Power.STOPPED)


async def test_nothing_of_a_lost_container_is_shown_as_there(fleet: Fleet) -> None:  # noqa: F811
    """It ran and had an address; a restore that lost it leaves neither."""
    container = await _made(fleet)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    await store.observe(await _seen(fleet, container, now()))
    await _store(fleet, address="10.0.0.7")
    before = await _read(fleet, container)
    backup = f"local:backup/vzdump-lxc-{before.vmid}-2026_02_03-04_05_06.tar.zst"
    restore = await _job(fleet, container, JobKind.RESTORE, backup=backup)
    await _take_loss(fleet, restore)

    lost = await _read(fleet, container)

    assert (before.power, before.address) == (Power.RUNNING, "10.0.0.7")
    assert (lost.lifecycle, lost.power, lost.address) == (Lifecycle.FAILED, Power.UNKNOWN, None)


async def test_what_is_not_there_is_not_shown_as_reachable(fleet: Fleet) -> None:  # noqa: F811
    """One that vanished from its host, and one that was deleted while it ran: no power, address or link."""
    container = await _made(fleet)
    store = ObservationStore(fleet.world.tables, Queue(LIMITS))
    site = {"name": "nginx", "kind": "systemd", "port": 80, "url": "http://10.0.0.7/"}
    await store.observe(await _seen(fleet, container, now()))
    await _store(fleet, address="10.0.0.7", services=[site])
    there = await _read(fleet, container)

    await store.miss(there.cluster_id, there.vmid, now())
    vanished = await _read(fleet, container)
    await _store(fleet, power="running", lifecycle="deleted")
    deleted = await _read(fleet, container)

    assert (there.address, there.services[0].url) == ("10.0.0.7", "http://10.0.0.7/")
    for each in (vanished, deleted):
        assert (each.power, each.address) == (Power.UNKNOWN, None)
        assert (each.services[0].status, each.services[0].url) == ("unknown", None)


async def _made(fleet: Fleet) -> Id:  # noqa: F811
    (item,) = (await fleet.job((await fleet.make(1)).job.id)).items
    return str(item.container)


async def _store(fleet: Fleet, **values: object) -> None:  # noqa: F811
    async with fleet.world.tables.begin() as connection:
        await connection.execute(tables.containers.update().values(values))


async def _read(fleet: Fleet, container: Id) -> containers.Container:  # noqa: F811
    return await fleet.world.gateway.ask(containers.GetContainer(container=container))


async def _job(fleet: Fleet, container: Id, kind: JobKind, **args: str) -> Id:  # noqa: F811
    asked = jobs.RequestJob.model_validate({"container": container, "kind": kind, "args": args})
    return (await fleet.world.gateway.ask(asked)).job.id


async def _seen(fleet: Fleet, container: Id, at: Moment) -> GuestStatus:  # noqa: F811
    """Return a row of the list that shows it running."""
    guest = await _read(fleet, container)
    return GuestStatus(
        id=f"{guest.cluster_id}-{guest.vmid}",
        cluster=guest.cluster_id,
        node=str(guest.node),
        vmid=guest.vmid,
        name=guest.hostname,
        power=Power.RUNNING,
        observed_at=at,
    )


async def _take_loss(fleet: Fleet, job: Id) -> None:  # noqa: F811
    steps: Sequence[jobs.StepStatus] = (
        jobs.StepStatus(name="restore.task", status="failed", started_at=now()),
    )
    error = Problem(code="restore.container-lost", message="gone")
    record = await fleet.record(job, JobState.FAILED, exists=False)
    await fleet.store(record.model_copy(update={"steps": steps, "error": error}), 1)
