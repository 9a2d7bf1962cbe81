"""Plans say what the request would: of many like one, and where a name is held by what is gone."""

import pytest
from integration.inventory.test_acceptance import ARCHIVE, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture

from slipway.contracts import bulk, containers, jobs, kept, plans
from slipway.contracts.problems import Conflict, Invalid
from slipway.contracts.values import JobState, Lifecycle
from slipway.runtime.bus import Bus
from slipway.runtime.call import Call
from support.nats import MakeBus

SPEC = containers.ContainerSpec(hostname="web", ostemplate=ARCHIVE)


class Host:
    """A provisioner whose host has nothing of ours, or all of it."""

    has_all = False

    def register(self, bus: Bus) -> None:
        """Answer what inventory asks it."""
        bus.answer(plans.ExplainRun, self.explain)
        bus.answer(kept.GetGuard, self.guard)
        bus.answer(kept.CheckVmid, self.vmid)

    async def explain(self, _query: plans.ExplainRun, _call: Call) -> plans.Explained:
        """Say nothing of the steps."""
        return plans.Explained(steps=())

    async def guard(self, _query: kept.GetGuard, _call: Call) -> kept.Guard:
        """Say whether it is there."""
        return kept.Guard(is_ours=self.has_all)

    async def vmid(self, _query: kept.CheckVmid, _call: Call) -> kept.VmidState:
        """Say whether its VMID is free."""
        return kept.VmidState(is_free=not self.has_all)


@pytest.fixture
async def host(make_bus: MakeBus) -> Host:
    """The provisioner's side of the bus."""
    host = Host()
    await make_bus("provisioner", host.register)
    return host


@pytest.mark.usefixtures("host")
async def test_many_like_one_are_planned_as_they_are_asked_for(fleet: Fleet) -> None:  # noqa: F811
    """The first gets the next free name; what is refused for many is refused in the plan; none is made."""
    await fleet.world.create("web")
    await fleet.world.create("web-1")
    many = bulk.CreateContainers(spec=SPEC, count=3)
    one_vmid = many.model_copy(update={"spec": SPEC.model_copy(update={"vmid": 200})})

    plan = await fleet.world.gateway.ask(plans.PlanJob(create_many=many))
    with pytest.raises(Invalid) as refused:
        await fleet.world.gateway.ask(plans.PlanJob(create_many=one_vmid))

    assert plan.container.hostname == "web-2"
    assert plan.warnings == ("2 more like this one are made, as one batch.",)
    assert [each.field for each in refused.value.errors] == ["vmid"]
    assert len((await fleet.world.gateway.ask(containers.ListContainers())).items) == 2


async def test_a_plan_gives_nothing_up(fleet: Fleet, host: Host) -> None:  # noqa: F811
    """A name that a container holds which is gone is planned with, and free only when it is asked for."""
    ask = fleet.world.gateway.ask
    failed = await fleet.world.create("web")
    await fleet.take(failed.job.id, JobState.FAILED)
    wanted = containers.CreateContainer(spec=SPEC)

    plan = await ask(plans.PlanJob(create=wanted))
    again = await ask(plans.PlanJob(create=wanted))
    held = (await fleet.world.container(failed)).lifecycle
    host.has_all = True
    with pytest.raises(Conflict) as there:
        await ask(plans.PlanJob(create=wanted))
    host.has_all = False
    made = await ask(wanted)

    assert (plan.container.hostname, plan.hash) == ("web", again.hash)
    assert (held, there.value.code) == (Lifecycle.FAILED, "hostname.taken")
    assert (await fleet.world.container(failed)).lifecycle is Lifecycle.DELETED
    assert (await ask(jobs.GetJob(job=made.job.id))).state is JobState.QUEUED
