"""Searches as PostgreSQL answers them, in lists and for selections."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.containers import Container, ListContainers
from slipway.contracts.values import ContainerSort, Lifecycle, Power
from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.batches.choice import select_containers
from slipway.inventory.containers.pages import ContainerPages
from slipway.inventory.containers.selection import SelectionInvalid
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from support.postgres import Databases

CLUSTER = {"spec": {}, "secrets": {}, "version": "9", "offered_host_keys": {}}
NAMES = ("web-1", "web-10", "db_1", "cache", "made")


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """Five containers on two clusters that differ in everything that is searched, and one that is deleted."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    fixed = (NetworkSpec(ip="10.0.0.77/24", ip6="auto"), NetworkSpec(ip="dhcp", ip6="fd00::5/64"))
    rows = [
        _row(101, "web-1", tags=("Prod", "web"), template="nginx-site", address="10.0.0.9"),
        _row(110, "web-10", tags=("prod", "c++"), template="nginx-site", node="pve2", address="10.0.1.9"),
        _row(
            103, "db_1", tags=("50%",), description="The shop's orders", networks=fixed, power=Power.STOPPED
        ),
        _row(101, "cache", cluster_id="cl-2", address="10.0.0.9", power=Power.STOPPED, warnings=["no-host"]),
        {
            **_row(105, "made", lifecycle=Lifecycle.CREATING, power=Power.UNKNOWN),
            "spec": {"hostname": "made"},
        },
        _row(101, "gone", lifecycle=Lifecycle.DELETED, tags=("prod",)),
    ]
    async with database.begin() as connection:
        for cluster, name in (("cl-1", "home"), ("cl-2", "work")):
            values = {**CLUSTER, "id": cluster, "name": name, "created_at": now()}
            await connection.execute(insert(tables.clusters).values(values))
        for number, row in enumerate(rows):
            await connection.execute(insert(tables.containers).values(row | {"id": f"c-{number}"}))
    yield database
    await database.dispose()


def _row(vmid: int, hostname: str, **others: Any) -> dict[str, Any]:
    spec = {name: others.pop(name) for name in ("tags", "description", "networks") if name in others}
    return {
        "cluster_id": "cl-1",
        "node": "pve1",
        "hostname": hostname,
        "vmid": vmid,
        "vmid_is_provisional": False,
        "spec": ContainerSpec(hostname=hostname, **spec).model_dump(mode="json"),
        "lifecycle": Lifecycle.READY,
        "power": Power.RUNNING,
        "services": [],
        "warnings": [],
        "created_at": now(),
        "updated_at": now(),
        **others,
    }


async def found(database: Database, **query: Any) -> tuple[str, ...]:
    """Return the hostnames of a list, read in pages of one."""
    names: list[str] = []
    pages, cursor = ContainerPages(database), None
    while True:
        items, cursor = await pages.page(ListContainers(limit=1, cursor=cursor, **query))
        names += [Container.model_validate_json(item).hostname for item in items]
        if cursor is None:
            return tuple(names)


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("tag:prod", ("web-1", "web-10")),
        ("tag:PROD -tag:c++", ("web-1",)),
        ("tag:web,c++", ("web-1", "web-10")),
        ("tag:web tag:prod", ("web-1",)),
        ("-tag:prod", ("db_1", "cache", "made")),
        ("node:pve1 node:pve2", ()),
        ("node:pve2,tag:web", ("web-1", "web-10")),
        ("name:web-* -node:PVE2", ("web-1",)),
        ("cluster:home", ("web-1", "web-10", "db_1", "made")),
        ("cluster:cl-2", ("cache",)),
        ("status:running", ("web-1", "web-10")),
        ("status:stopped,creating", ("db_1", "cache", "made")),
        ("status:ready status:stopped", ("db_1", "cache")),
        ("-template:nginx-site", ("db_1", "cache", "made")),
        ("ip:10.0.0.0/24", ("web-1", "db_1")),
        ("ip:10.0.0.77,ip:fd00::/16", ("db_1",)),
        ("ip:10.0.0.9", ("web-1",)),
        ("-ip:10.0.0.0/8", ("cache", "made")),
        ("101", ("web-1", "cache")),
        ("102-109 -105", ("db_1",)),
        ("name:WEB-1", ("web-1",)),
        ("name:web-1*", ("web-1", "web-10")),
        ("name:db_?,w%", ("db_1",)),
        ("warning:no-host", ("cache",)),
        ("WEB-1", ("web-1", "web-10")),
        ("db_1", ("db_1",)),
        ("50% orders", ("db_1",)),
        ("10.0.", ("web-1", "web-10")),
        ('"10"', ("web-1", "web-10", "db_1", "cache", "made")),
        ("-web", ("db_1", "cache", "made")),
        ("prod", ("web-1", "web-10")),
        ("[", ()),
        ('",",ORDERS', ("db_1",)),
    ],
)
async def test_a_list_has_what_its_search_means(
    database: Database, search: str, names: tuple[str, ...]
) -> None:
    """In any order, from page to page; what is not known of a container is no value of it."""
    assert await found(database, q=search) == names
    assert await found(database, q=search, sort=ContainerSort.CREATED_LAST) == names[::-1]


async def test_filters_hold_beside_the_search_and_do_not_replace_it(database: Database) -> None:
    """In each of its parts."""
    assert await found(database, q="node:pve2,tag:web", node="pve1") == ("web-1",)
    assert await found(database, q="node:pve2", node="pve1") == ()
    assert await found(database, q="web", power=(Power.STOPPED,)) == ()
    assert await found(database, q=" ") == NAMES


@pytest.mark.parametrize(
    ("selection", "names", "absent"),
    [
        ("101", ["web-1", "cache"], ()),
        ("101 cluster:work,110", ["web-10", "cache"], ()),
        ("110 cluster:work,tag:web", ["web-1"], (110,)),
        ("tag:prod orders,101 cluster:home", ["web-1"], ()),
        ("name:* -status:running,creating", ["db_1", "cache"], ()),
    ],
)
async def test_a_selection_means_the_same_and_nothing_else(
    database: Database, selection: str, names: list[str], absent: tuple[int, ...]
) -> None:
    """Sorted by cluster and VMID; a VMID of another cluster is absent."""
    async with database.begin() as tx:
        selected, missing = await select_containers(tx, selection)
        rows = await tx.execute(select(tables.containers.c.id, tables.containers.c.hostname))
        hostnames = {row.id: row.hostname for row in rows}

    assert (sorted(hostnames[one.id] for one in selected), missing) == (sorted(names), absent)
    assert [(one.cluster, one.vmid) for one in selected] == sorted(
        (one.cluster, one.vmid) for one in selected
    )


async def test_a_selection_that_fits_nothing_is_refused(database: Database) -> None:
    """It never means all."""
    async with database.begin() as tx:
        with pytest.raises(SelectionInvalid, match="No container fits"):
            await select_containers(tx, "node:pve1 node:pve2")


async def test_tags_follow_what_the_host_says(database: Database) -> None:
    """They stand in a column that PostgreSQL makes of the config."""
    async with database.begin() as tx:
        spec = ContainerSpec(hostname="cache", tags=("New",)).model_dump(mode="json")
        await tx.execute(update(tables.containers).where(tables.containers.c.id == "c-3").values(spec=spec))

    assert await found(database, q="tag:new") == ("cache",)
