"""Many are judged as one is: by the facts of their own nodes, their protection, and nodes in maintenance."""

import pytest
from integration.inventory.test_acceptance import NODE, SPEC, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import select

from slipway.contracts import bulk, clusters, container_specs, containers, jobs
from slipway.contracts.job_kinds import ConfigureArgs, JobKind, MigrateArgs
from slipway.contracts.problems import Conflict, Problem, Unavailable
from slipway.inventory import tables
from slipway.inventory.clusters.store import ClusterStore
from slipway.runtime.process.clock import now

ARCHIVES = tuple(f"{number}-{'x' * 200}" for number in range(600))
"""What makes a node's facts large: a page of clusters holds 512 KiB."""


async def planned(fleet: Fleet, kind: JobKind, **args: object) -> list[str | None]:  # noqa: F811
    """Return why each item of everything would be refused."""
    query = bulk.PlanBatch.model_validate({"kind": kind, "selection": "name:*", "args": args})
    errors = [each.error for each in (await fleet.world.gateway.ask(query)).items]
    return [code(each) for each in errors]


def code(problem: Problem | None) -> str | None:
    """Return a problem's code."""
    return problem.code if problem else None


async def test_facts_of_every_cluster_count(fleet: Fleet) -> None:  # noqa: F811
    """However much is known of all of them; a node of which nothing is known is said to be such."""
    last = None
    for number in range(6):
        last = await fleet.world.add(
            SPEC.model_copy(update={"name": f"z{number}", "endpoint": f"https://pve{number}:8006"})
        )
        for node in ("pve1", "pve2"):
            facts = NODE.model_copy(update={"node": node, "appliances": ARCHIVES, "observed_at": now()})
            await fleet.observe(last.id, facts)
    assert last is not None
    assert (await ClusterStore(fleet.world.tables).list(limit=1000, cursor=None)).next is not None
    await fleet.end((await fleet.create(2, cluster=last.name)).job.id)

    moves = await planned(fleet, JobKind.MIGRATE, target_node="pve2")
    networks = await planned(fleet, JobKind.CONFIGURE, networks=[{"bridge": "vmbr9"}])
    async with fleet.world.tables.begin() as connection:
        await connection.execute(tables.nodes.delete())
    unknown = await planned(fleet, JobKind.CONFIGURE, networks=[{"bridge": "vmbr0"}])
    one = (await fleet.world.gateway.ask(containers.ListContainers())).items[0]
    args = ConfigureArgs(networks=(container_specs.NetworkSpec(bridge="vmbr0"),))
    with pytest.raises(Unavailable) as single:
        await fleet.world.gateway.ask(jobs.RequestJob(container=one.id, kind=JobKind.CONFIGURE, args=args))

    assert moves == [None, None]
    assert networks == ["job.invalid", "job.invalid"]
    assert unknown == ["node.facts-missing"] * 2
    assert single.value.code == "node.facts-missing"


async def test_a_protected_one_is_a_failed_item(fleet: Fleet) -> None:  # noqa: F811
    """Its deletion is refused beforehand, and the plan does not name it among what is destroyed."""
    await fleet.end((await fleet.create(1, protection=True)).job.id)
    await fleet.make(1)

    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.DELETE, selection="name:*"))

    assert [code(each.error) for each in plan.items] == ["container.protected", None]
    assert ["(web-2)" in each for each in plan.destroys] == [True]


async def test_a_foreign_backup_is_restored_nowhere(fleet: Fleet) -> None:  # noqa: F811
    """Of many only the one whose backup it is takes it."""
    await fleet.make(2)

    codes = await planned(fleet, JobKind.RESTORE, backup="local:backup/vzdump-lxc-101-2026.tar.zst")

    assert codes == [None, "job.invalid"]


async def test_a_node_in_maintenance_can_be_emptied(fleet: Fleet) -> None:  # noqa: F811
    """What moves away from it begins, all else waits; nothing is moved onto one that rests."""
    made = await fleet.job((await fleet.make(3)).job.id)
    home = (await fleet.world.gateway.ask(clusters.ListClusters())).items[0]
    other = NODE.model_copy(update={"node": "pve2", "observed_at": now()})
    await fleet.observe(home.id, other)
    rest = clusters.SetMaintenance(cluster=home.id, node="pve1", is_on=True)
    await fleet.world.gateway.ask(rest)
    move = MigrateArgs(target_node="pve2")
    first, second, third = (str(each.container) for each in made.items)

    stays = await fleet.world.gateway.ask(jobs.RequestJob(container=first, kind=JobKind.STOP))
    moves = await fleet.world.gateway.ask(jobs.RequestJob(container=second, kind=JobKind.MIGRATE, args=move))

    async with fleet.world.tables.begin() as connection:
        sent = select(tables.jobs.c.id).where(tables.jobs.c.released_at.is_not(None))
        released = set(await connection.scalars(sent.where(tables.jobs.c.parent_id.is_(None))))
    assert released == {moves.job.id}
    assert (await fleet.job(stays.job.id)).waits_for == "maintenance"
    await fleet.world.gateway.ask(rest.model_copy(update={"node": "pve2"}))
    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(jobs.RequestJob(container=third, kind=JobKind.MIGRATE, args=move))
    assert (refused.value.code, refused.value.errors[0].field) == ("node.in-maintenance", "args.target_node")
    codes = await planned(fleet, JobKind.MIGRATE, target_node="pve2")
    assert codes == ["job.active", "job.active", "node.in-maintenance"]


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ("101-102,tag:prod+name:web-4", [1, 2, 4]),
        ("102+cluster:home+node:pve1", [2]),
        ("102+cluster:none,name:WEB-3", [3]),
        ("101-103+tag:prod+template:none,101-103+tag:prod", [1, 2, 3]),
        ("node:pve2,104", [4]),
        ("vmid:101,102 node:pve1 node:pve2,103", [3]),
        ("tag:prod -name:web-1,web-2 web", [3, 4]),
    ],
)
async def test_what_is_read_is_what_is_meant(
    fleet: Fleet,  # noqa: F811
    selection: str,
    numbers: list[int],
) -> None:
    """Terms narrow and add up as they are written, whether rows or words are compared."""
    await fleet.make(4)

    plan = await fleet.world.gateway.ask(bulk.PlanBatch(kind=JobKind.START, selection=selection))

    fit = [each.hostname for each in plan.items if each.error is None]
    assert fit == [f"web-{number}" for number in numbers]
    absent = [102] if "cluster:none" in selection else []
    assert [each.vmid for each in plan.items if each.error is not None] == absent
