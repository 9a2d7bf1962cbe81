"""Plans say what the request would: of many like one, and where a name is held by what is gone."""

import pytest
from integration.inventory.test_acceptance import ARCHIVE, NODE, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture

from slipway.contracts import (
    bulk,
    cluster_facts,
    clusters,
    container_specs,
    containers,
    host_state,
    jobs,
    plans,
)
from slipway.contracts.job_kinds import JobKind, ResizeArgs, SnapshotArgs
from slipway.contracts.problems import Conflict, Invalid
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.batches import host_check
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.clock import now
from support.nats import MakeBus

SPEC = container_specs.ContainerSpec(hostname="web", ostemplate=ARCHIVE)


class Host:
    """A provisioner whose host has nothing of ours, or all of it."""

    has_all = False

    def __init__(self) -> None:
        """Begin with nothing to say of any container."""
        self.explanations: dict[str, plans.Explained] = {}
        self.asked: list[str] = []

    def register(self, bus: Bus) -> None:
        """Answer what inventory asks it."""
        bus.answer(plans.ExplainRun, self.explain)
        bus.answer(host_state.GetGuard, self.guard)
        bus.answer(host_state.CheckVmid, self.vmid)

    async def explain(self, query: plans.ExplainRun, _call: Call) -> plans.Explained:
        """Return what was set down for the container, by its name; nothing unless it was."""
        self.asked.append(query.command.target.hostname)
        return self.explanations.get(query.command.target.hostname, plans.Explained(steps=()))

    async def guard(self, _query: host_state.GetGuard, _call: Call) -> host_state.Guard:
        """Return whether it is there."""
        return host_state.Guard(is_ours=self.has_all)

    async def vmid(self, _query: host_state.CheckVmid, _call: Call) -> host_state.VmidState:
        """Return whether its VMID is free."""
        return host_state.VmidState(is_free=not self.has_all)


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
    assert plan.warnings == (
        "2 more like this one are made, as one batch.",
        "How much is free on storage local-lvm of node pve1 is not known now.",
    )
    assert [each.field for each in refused.value.errors] == ["vmid"]
    assert len((await fleet.world.gateway.ask(containers.ListContainers())).items) == 2


@pytest.mark.usefixtures("host")
async def test_what_the_node_lacks_is_named(fleet: Fleet) -> None:  # noqa: F811
    """For one and for many: what they ask for together is held against what the node has."""
    gib, ask = 1 << 30, fleet.world.gateway.ask
    cluster = (await ask(clusters.GetCluster(cluster="home"))).id
    room = cluster_facts.StorageFact(
        name="local-lvm", type="lvm", content=("rootdir",), free_bytes=40 * gib, total_bytes=100 * gib
    )
    seen = {"cores": 2, "memory_bytes": 8 * gib, "storages": (room,), "observed_at": now()}
    await fleet.observe(cluster, NODE.model_copy(update=seen))
    spec = SPEC.model_copy(update={"memory": 16 << 20, "disk": 100 << 10, "cores": 4096})
    made = await fleet.make(3)
    ids = ",".join(str(each.vmid) for each in (await fleet.job(made.job.id)).items)
    resized = bulk.PlanBatch(kind=JobKind.RESIZE, selection=ids, args=ResizeArgs(memory=4096, disk=32))

    one = await ask(plans.PlanJob(create=containers.CreateContainer(spec=spec)))
    many = await ask(resized)

    assert one.warnings == (
        "It asks for 16 TiB of memory; node pve1 has 8 GiB.",
        "It asks for 4096 cores; node pve1 has 2.",
        "It asks for 100 TiB of disk; storage local-lvm of node pve1 has 40 GiB free of 100 GiB.",
    )
    assert many.warnings[0] == "Together 3 of them ask for 12 GiB of memory; node pve1 has 8 GiB."
    assert many.warnings[1].endswith("storage local-lvm of node pve1 has 40 GiB free of 100 GiB.")


async def test_the_plan_of_many_says_what_their_hosts_hold(fleet: Fleet, host: Host) -> None:  # noqa: F811
    """A lock, a taken name: named with their containers, once for all; also of a second try."""
    made = await fleet.job((await fleet.make(3)).job.id)
    ids = ",".join(str(each.vmid) for each in made.items)
    first, second, third = (f"{each.hostname} ({each.vmid})" for each in made.items)
    looks = plans.PlanStep(
        name="snapshot.look", words="Look", effect="fails", message="There is a snapshot 's1' already."
    )
    host.explanations["web-1"] = plans.Explained(steps=(looks,), warnings=("HA looks after it.",))
    host.explanations["web-3"] = plans.Explained(steps=(), warnings=("HA looks after it.",))
    args = SnapshotArgs(snapshot="s1")
    request = bulk.RequestBatch(kind=JobKind.SNAPSHOT, selection=ids, args=args)

    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.SNAPSHOT, selection=ids, args=args))
    batch = await fleet.ask(request)
    await fleet.end(batch.job.id, JobState.FAILED)
    again = await fleet.world.gateway.ask(bulk.PlanBatchRetry(job=batch.job.id))

    expected = (
        f"{first}: it would fail: There is a snapshot 's1' already.",
        f"{first}, {third}: HA looks after it.",
    )
    assert (plan.warnings, again.warnings) == (expected, expected)
    assert second not in str(plan.warnings)


async def test_the_hosts_of_a_large_batch_are_asked_within_bounds(fleet: Fleet, host: Host) -> None:  # noqa: F811
    """As many as a look may cost; that others were not looked at is said."""
    made = await fleet.job((await fleet.make(60)).job.id)
    ids = ",".join(str(each.vmid) for each in made.items)

    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.STOP, selection=ids))

    assert len(host.asked) == host_check.MOST_LOOKED_AT
    assert plan.warnings[0].startswith("10 of them were not looked at on their hosts")


async def test_a_plan_gives_nothing_up(fleet: Fleet, host: Host) -> None:  # noqa: F811
    """A name that a container holds which is gone is planned with, and free only when it is asked for."""
    ask = fleet.world.gateway.ask
    failed = await fleet.world.create("web")
    await fleet.take(failed.job.id, JobState.FAILED)
    request = containers.CreateContainer(spec=SPEC)

    plan = await ask(plans.PlanJob(create=request))
    again = await ask(plans.PlanJob(create=request))
    held = (await fleet.world.container(failed)).lifecycle
    host.has_all = True
    with pytest.raises(Conflict) as there:
        await ask(plans.PlanJob(create=request))
    host.has_all = False
    made = await ask(request)

    assert (plan.container.hostname, plan.hash) == ("web", again.hash)
    assert (held, there.value.code) == (Lifecycle.FAILED, "hostname.taken")
    assert (await fleet.world.container(failed)).lifecycle is Lifecycle.DELETED
    assert (await ask(jobs.GetJob(job=made.job.id))).state is JobState.QUEUED
