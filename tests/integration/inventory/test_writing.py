"""Several writes with one statement."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, select, update

from slipway.contracts.container_events import ContainerDeleted
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.decision import Write
from slipway.inventory.tables import audit, batch_plans, clusters, nodes
from slipway.inventory.writing import write
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outgoing
from support.postgres import Databases
from support.statements import counted_statements

AT = datetime(2026, 11, 29, 20, 15, 1, 123456, tzinfo=UTC)
CLUSTER = {
    "id": "k1",
    "name": "home",
    "spec": {"endpoint": "https://pve:8006", "nothing": None, "quoted": "a'b\"c\\d ü"},
    "secrets": {},
    "version": "9.2",
    "offered_host_keys": {},
    "created_at": AT,
}
NOTE = {
    "at": AT,
    "actor": "me",
    "action": "test",
    "target": "k1",
    "outcome": "done",
    "correlation_id": "c",
    "details": {"name": "home"},
}
GONE = Outgoing(
    message=ContainerDeleted(id="c1", vmid=100, hostname="web", cluster="k1"), message_id="container:c1:gone"
)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """Inventory's database."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    yield database
    await database.dispose()


async def test_writes_of_different_tables_and_messages_are_one_statement(database: Database) -> None:
    """A row is there as it was given: times, texts, JSON and what it leaves to its table."""
    node = {"cluster_id": "k1", "node": "pve1", "facts": {}, "observed_at": AT}
    writes = [
        Write(statement=insert(clusters), rows=[CLUSTER]),
        Write(statement=insert(nodes), rows=[node, {**node, "node": "pve2"}]),
        Write(statement=insert(audit), rows=[{"id": "a1", **NOTE}]),
        Write(statement=delete(batch_plans).where(batch_plans.c.shown_at < AT)),
    ]

    with counted_statements() as statements:
        async with database.begin() as tx:
            await write(tx, writes, [GONE])

    assert len(statements) == 1
    async with database.begin() as tx:
        cluster = (await tx.execute(select(clusters))).one()
        seen = (await tx.execute(select(nodes).order_by(nodes.c.node))).all()
        sent = (await tx.exec_driver_sql("select subject from outbox")).scalars().all()
    assert {name: getattr(cluster, name) for name in CLUSTER} == CLUSTER
    assert [(each.node, each.in_maintenance, each.observed_at) for each in seen] == [
        ("pve1", False, AT),
        ("pve2", False, AT),
    ]
    assert sent == ["slipway.v1.event.container.c1.deleted"]


async def test_writes_of_one_table_follow_one_another(database: Database) -> None:
    """The later one sees what the earlier one did; both keep their own values."""
    mine = clusters.c.id == "k1"
    writes = [
        Write(statement=insert(clusters), rows=[CLUSTER]),
        Write(statement=insert(audit), rows=[{"id": "a1", **NOTE}]),
        Write(statement=update(clusters).where(mine).values(name="first", version="10")),
        Write(statement=update(audit).where(audit.c.id == "a1").values(actor="you", target="k2")),
        Write(statement=update(clusters).where(mine).values(name="second")),
    ]

    with counted_statements() as statements:
        async with database.begin() as tx:
            await write(tx, writes)

    async with database.begin() as tx:
        cluster = (await tx.execute(select(clusters.c.name, clusters.c.version))).one()
        note = (await tx.execute(select(audit.c.actor, audit.c.target))).one()
    assert (len(statements), tuple(cluster), tuple(note)) == (3, ("second", "10"), ("you", "k2"))


async def test_nothing_to_write_is_no_statement(database: Database) -> None:
    """A decision that changes nothing costs nothing."""
    with counted_statements() as statements:
        async with database.begin() as tx:
            await write(tx, [])

    assert statements == []
