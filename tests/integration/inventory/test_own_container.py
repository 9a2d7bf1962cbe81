"""The container that Slipway itself runs in is not stopped, rolled back or deleted by mistake."""

import pytest
from integration.inventory.test_acceptance import OWN_ADDRESS, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import select, update

from slipway.contracts import bulk, containers, jobs
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState
from slipway.inventory import tables
from slipway.runtime.bus.call import Call, using
from slipway.runtime.process.ids import new_id


@pytest.fixture
async def ours(fleet: Fleet) -> Id:  # noqa: F811
    """One of two containers, whose config on the host has a MAC of ours in small letters."""
    await fleet.make(2)
    async with fleet.world.tables.begin() as connection:
        row = (await connection.execute(select(tables.containers).order_by(tables.containers.c.vmid))).first()
        assert row is not None
        spec = ContainerSpec.model_validate(row.spec)
        networks = (NetworkSpec(bridge="vmbr0", hwaddr=OWN_ADDRESS.lower()),)
        changed = spec.model_copy(update={"networks": networks}).model_dump(mode="json")
        same = tables.containers.c.id == row.id
        await connection.execute(update(tables.containers).where(same).values(spec=changed))
    container: Id = row.id
    return container


async def test_it_is_stopped_only_by_those_who_say_that_they_know(
    fleet: Fleet,  # noqa: F811
    ours: Id,
) -> None:
    """The refusal names the container and what to send; with it the job is accepted."""
    request = jobs.RequestJob(container=ours, kind=JobKind.STOP)
    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(request)
    with using(Call(actor="me", correlation_id=new_id(), confirms_self=True)):
        accepted = await fleet.world.gateway.ask(request)

    assert refused.value.code == "container.own"
    assert "Slipway-Confirm: self" in refused.value.message
    assert (await fleet.job(accepted.job.id)).kind is JobKind.STOP


async def test_nor_with_others_nor_deleted(fleet: Fleet, ours: Id) -> None:  # noqa: F811
    """A batch that has it among others does nothing at all; what does not end it goes as always."""
    with pytest.raises(Conflict) as deleted:
        await fleet.world.gateway.ask(containers.DeleteContainer(container=ours))
    with pytest.raises(Conflict) as stopped:
        await fleet.world.gateway.ask(bulk.RequestBatch(kind=JobKind.STOP, selection="name:*"))
    begun = (await fleet.world.gateway.ask(jobs.ListJobs(state=(JobState.QUEUED, JobState.RUNNING)))).items
    started = await fleet.world.gateway.ask(jobs.RequestJob(container=ours, kind=JobKind.START))

    assert {deleted.value.code, stopped.value.code} == {"container.own"}
    assert begun == ()
    assert started.container.id == ours
