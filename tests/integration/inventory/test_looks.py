"""What monitor saw last is joined to what is answered: age and outage, without a write to the database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from integration.inventory.test_acceptance import NODE, World, world  # noqa: F401  a fixture

from slipway.contracts.cluster_facts import ClusterLook, NodeFacts, NodeLook, NodeObserved, VmidRange
from slipway.contracts.clusters import Cluster, GetCluster, ListClusters
from slipway.contracts.containers import Container, GetContainer, ListContainers
from slipway.contracts.problems import Unavailable
from slipway.contracts.values import Outage
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.process.ending import end
from slipway.runtime.topology.declared import LOOKS
from support.nats import MakeBus

EXPIRED = Outage(
    code="cluster.credentials-refused", since=clock.now(), message="It has expired.", remedy="Prolong it."
)
AWAY = Outage(code="node.no-answer", since=clock.now(), message="It hangs.", remedy="Look at it.")


@asynccontextmanager
async def hearing(world: World) -> AsyncIterator[None]:  # noqa: F811
    """Let inventory hear of looks."""
    task = asyncio.create_task(world.looks.run())
    try:
        yield
    finally:
        await end(task)


@pytest.fixture
async def monitor(make_bus: MakeBus) -> Bus:
    """A bus to write looks with."""
    return await make_bus("monitor")


async def write(monitor: Bus, cluster: str, **changes: object) -> ClusterLook:
    """Write a look as monitor does."""
    now = clock.now()
    node = NodeLook(node=NODE.node, looked_at=now, storages_at=now)
    fields = {"cluster": cluster, "at": now, "every_seconds": 0.2, "looked_at": now, "nodes": (node,)}
    look = ClusterLook.model_validate(fields | changes)
    await Bucket(monitor, LOOKS).put(cluster, look.model_dump_json().encode())
    return look


async def cluster_once(world: World, is_so: Callable[[Cluster], bool]) -> Cluster:  # noqa: F811
    """Ask for the cluster until it is like this."""
    async with asyncio.timeout(15):
        while True:
            cluster = await world.gateway.ask(GetCluster(cluster="home"))
            if is_so(cluster):
                return cluster


async def test_age_and_outage_are_in_every_answer(world: World, monitor: Bus) -> None:  # noqa: F811
    """One cluster and all, one container and all; both go as they came."""
    home = await world.add()
    web = await world.container(await world.create("web", vmid=104))
    async with hearing(world):
        look = await write(monitor, home.id, guests=(VmidRange(first=104, last=104),))
        well = await cluster_once(world, lambda cluster: cluster.looked_at is not None)
        seen = await world.gateway.ask(GetContainer(container=web.id))
        bad = await write(monitor, home.id, outage=EXPIRED, looked_at=look.looked_at)
        await cluster_once(world, lambda cluster: cluster.outage is not None)
        clusters = (await world.gateway.ask(ListClusters())).items
        containers = (await world.gateway.ask(ListContainers())).items
        await write(monitor, home.id)
        await cluster_once(world, lambda cluster: cluster.outage is None)

    assert (home.looked_at, home.outage) == (None, None)
    assert (web.looked_at, web.outage) == (None, None)
    assert (well.looked_at, well.nodes[0].looked_at) == (look.looked_at, look.nodes[0].looked_at)
    assert well.nodes[0].observed_at == NODE.observed_at
    assert (seen.looked_at, seen.outage) == (look.looked_at, None)
    resources: list[Cluster | NodeFacts | Container] = [clusters[0], clusters[0].nodes[0], containers[0]]
    assert [each.outage for each in resources] == [EXPIRED] * 3
    assert (clusters[0].looked_at, containers[0].looked_at) == (bad.looked_at, bad.looked_at)


async def test_what_was_written_before_the_start_is_known(world: World, monitor: Bus) -> None:  # noqa: F811
    """A restarted inventory reads what is on the bus; it claims nothing until then."""
    home = await world.add()
    look = await write(monitor, home.id, outage=EXPIRED)
    before = await world.gateway.ask(GetCluster(cluster="home"))

    async with hearing(world):
        after = await cluster_once(world, lambda cluster: cluster.looked_at is not None)

    assert (before.looked_at, before.outage) == (None, None)
    assert (after.looked_at, after.outage) == (look.looked_at, EXPIRED)


async def test_a_monitor_that_is_silent_is_reported(world: World, monitor: Bus) -> None:  # noqa: F811
    """Also one that never said anything; it is over with the next word."""
    home = await world.add()
    async with hearing(world):
        never = await cluster_once(world, lambda cluster: cluster.outage is not None)
        look = await write(monitor, home.id)
        await cluster_once(world, lambda cluster: cluster.outage is None)
        silent = await cluster_once(world, lambda cluster: cluster.outage is not None)
        await write(monitor, home.id)
        await cluster_once(world, lambda cluster: cluster.outage is None)

    assert never.outage is not None
    assert silent.outage is not None
    assert (never.outage.code, never.looked_at) == ("monitor.silent", None)
    assert (silent.outage.code, silent.outage.since) == ("monitor.silent", look.at)
    assert silent.looked_at == look.looked_at


async def test_a_container_that_is_not_seen_any_more_keeps_its_time(
    world: World,  # noqa: F811
    monitor: Bus,
) -> None:
    """That of the last look that saw it."""
    home = await world.add()
    web = await world.container(await world.create("web", vmid=104))
    async with hearing(world):
        look = await write(monitor, home.id, guests=(VmidRange(first=100, last=110),))
        await cluster_once(world, lambda cluster: cluster.looked_at == look.looked_at)
        later = await write(monitor, home.id)
        await cluster_once(world, lambda cluster: cluster.looked_at == later.looked_at)
        missing = await world.gateway.ask(GetContainer(container=web.id))

    assert missing.looked_at == look.looked_at


async def test_nothing_is_placed_on_a_node_that_does_not_answer(
    world: World,  # noqa: F811
    monitor: Bus,
) -> None:
    """What monitor says of it counts at once; when it is well again, so does that."""
    home = await world.add()
    away = NODE.model_copy(update={"outage": AWAY, "observed_at": clock.now()})
    await monitor.publish(NodeObserved(id=f"{home.id}-pve1", cluster=home.id, facts=away), message_id="away")
    await cluster_once(world, lambda cluster: cluster.nodes[0].outage is not None)
    with pytest.raises(Unavailable, match="It hangs"):
        await world.create("web")
    well = NODE.model_copy(update={"observed_at": clock.now()})
    await monitor.publish(NodeObserved(id=f"{home.id}-pve1", cluster=home.id, facts=well), message_id="well")
    await cluster_once(world, lambda cluster: cluster.nodes[0].outage is None)

    accepted = await world.create("web")

    assert accepted.container.hostname == "web"


async def test_a_node_that_left_long_ago_is_dropped(world: World, monitor: Bus) -> None:  # noqa: F811
    """It is shown as gone for a quarter of an hour; its VMIDs are forgotten with it."""
    home = await world.add()
    other = NODE.model_copy(update={"node": "pve2", "vmids": (100, 101), "observed_at": clock.now()})
    await monitor.publish(
        NodeObserved(id=f"{home.id}-pve2", cluster=home.id, facts=other), message_id="joined"
    )
    await cluster_once(world, lambda cluster: len(cluster.nodes) == 2)
    since = clock.now() - timedelta(minutes=16)
    gone = Outage(code="node.gone", since=since, message="It left.", remedy="Nothing.")
    over = other.model_copy(update={"is_online": False, "outage": gone, "observed_at": clock.now()})

    await monitor.publish(NodeObserved(id=f"{home.id}-pve2", cluster=home.id, facts=over), message_id="gone")

    left = await cluster_once(world, lambda cluster: len(cluster.nodes) == 1)
    assert left.nodes[0].node == "pve1"
    assert (await world.create("web")).container.vmid == 101
