"""What forms ask inventory: choices with their age, the next VMID, and whether a value is free."""

import asyncio

import pytest
from integration.inventory.test_acceptance import NODE, World, world  # noqa: F401  a fixture
from sqlalchemy import text

from slipway.contracts.cluster_facts import NodeFacts, NodeObserved, VmidRange
from slipway.contracts.clusters import GetCluster, SetVmidRange
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.containers import CreateContainer
from slipway.contracts.form_facts import CheckAvailability, GetFormFacts, GetNextVmid, RequestFacts
from slipway.contracts.problems import Invalid
from slipway.runtime.process import clock
from support.nats import MakeBus


async def observe(world: World, make_bus: MakeBus, **changes: object) -> NodeFacts:  # noqa: F811
    """Let monitor report the node, and wait until inventory has stored it."""
    facts = NODE.model_copy(update={"observed_at": clock.now(), **changes})
    cluster = await world.gateway.ask(GetCluster(cluster="home"))
    reporter = await make_bus("monitor")
    await reporter.publish(
        NodeObserved(id=f"{cluster.id}-pve", cluster=cluster.id, facts=facts), message_id=str(clock.now())
    )
    async with asyncio.timeout(30):
        while cluster.nodes != (facts,):
            await asyncio.sleep(0.05)
            cluster = await world.gateway.ask(GetCluster(cluster="home"))
    return facts


async def test_choices_are_in_one_answer_with_their_age(world: World, make_bus: MakeBus) -> None:  # noqa: F811
    """Pools know their parents, storages are sorted by what fits on them, archives are taken apart."""
    await world.add()
    now = clock.now()
    volume = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
    await observe(
        world,
        make_bus,
        pools=("team", "team/web"),
        os_templates=(volume,),
        os_template_sizes={volume: 126},
        appliances=("alpine-3.22-default_20250617_amd64.tar.xz", volume.rpartition("/")[2]),
        vmids=(100,),
        devices_problem="No SSH access.",
        parts_at={"storages": now},
    )

    facts = await world.gateway.ask(GetFormFacts(cluster="home"))

    (node,), (template,) = facts.nodes, facts.nodes[0].os_templates
    assert [(each.name, each.parent) for each in facts.pools] == [("team", None), ("team/web", "team")]
    assert node.storages_for["rootdir"] == ("local-lvm",)
    assert (template.package, template.version, template.size_bytes) == ("debian-12-standard", "12.7-1", 126)
    assert [(each.package, each.is_there) for each in node.downloadable] == [
        ("alpine-3.22-default", False),
        ("debian-12-standard", True),
    ]
    assert node.looked_at == {"storages": now}
    assert node.unknown["devices"] == "No SSH access."
    assert (facts.next_vmid, facts.vmids.first) == (101, 100)


async def test_next_vmid_is_free_by_claims_and_facts_and_in_the_range(
    world: World,  # noqa: F811
    make_bus: MakeBus,
) -> None:
    """Guests of others, containers of ours and the range count."""
    cluster = await world.add()
    await world.gateway.ask(SetVmidRange(cluster=cluster.id, vmids=VmidRange(first=200, last=299)))
    await observe(world, make_bus, vmids=(200, 202))
    await world.create("web", vmid=201)

    following = await world.gateway.ask(GetNextVmid(cluster="home"))

    assert (following.vmid, following.vmids) == (203, VmidRange(first=200, last=299))


async def test_a_check_says_who_has_a_value(world: World) -> None:  # noqa: F811
    """The container of the name, of the VMID and of the address that it will have."""
    await world.add()
    network = NetworkSpec(ip="10.0.0.7/24", ip6="fd00::0007/64")
    archive = NODE.os_templates[0]
    spec = ContainerSpec(hostname="web", ostemplate=archive, vmid=150, networks=(network,))
    web = await world.gateway.ask(CreateContainer(spec=spec))

    taken = await world.gateway.ask(
        CheckAvailability(cluster="home", vmid="150", hostname="WEB", address="10.0.0.7")
    )
    other = await world.gateway.ask(
        CheckAvailability(cluster="home", vmid="151", hostname="web-2", address="fd00::7")
    )

    answers = [taken.vmid, taken.hostname, taken.address, other.vmid, other.hostname, other.address]
    assert [each and each.state for each in answers] == [*("taken",) * 3, "free", "free", "taken"]
    assert {each.by.id for each in answers if each and each.by} == {web.container.id}
    with pytest.raises(Invalid):
        await world.gateway.ask(CheckAvailability(cluster="home"))


async def test_facts_are_requested_once_a_minute_at_most(world: World) -> None:  # noqa: F811
    """Somebody who asks again is told so, and the nodes are spared."""
    cluster = await world.add()

    first = await world.gateway.ask(RequestFacts(cluster="home"))
    second = await world.gateway.ask(RequestFacts(cluster="home"))

    async with world.tables.begin() as connection:
        query = text("select count(*) from outbox where subject like '%.facts-requested'")
        count = await connection.scalar(query)
    assert (first.cluster, first.is_new, second.is_new, count) == (cluster.id, True, False, 1)
