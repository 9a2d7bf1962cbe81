"""A database of before batches is brought up to date with what is in it."""

import asyncpg
from sqlalchemy import select

from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS
from slipway.runtime.database.engine import Database, migrate
from support.postgres import Databases

BEFORE = (
    "set search_path to inventory",
    "alter table jobs rename column log_archived_at to story_at",
    "alter table job_log_parts rename to story_parts",
    "alter index jobs_unarchived rename to jobs_untold",
    "alter index jobs_cloning rename to jobs_copying",
    "drop table batch_items, batch_plans",
    "alter table jobs drop column parent_id",
    "alter table jobs alter column container_id set not null",
    "alter table jobs alter column cluster_id set not null",
    "alter table jobs alter column node set not null",
    "insert into clusters values ('c', 'home', '{}', '{}', '9', '{}', now())",
    (
        "insert into containers (id, cluster_id, node, hostname, vmid, vmid_is_provisional, spec, lifecycle,"
        " power, services, warnings, created_at, updated_at)"
        " values ('a', 'c', 'pve1', 'web', 101, false, '{}', 'ready', 'running', '[]', '[]', now(), now())"
    ),
    (
        "insert into jobs (id, kind, container_id, cluster_id, node, state, percent, actor, command,"
        " record_sequence, created_at)"
        " values ('j', 'container.start', 'a', 'c', 'pve1', 'queued', 0, 'me', '{}', 0, now())"
    ),
    "update alembic_version set version_num = '0002'",
)


async def test_jobs_of_before_batches_are_stored(databases: Databases) -> None:
    """They have no parent; a batch fits beside them."""
    settings = await databases.make("inventory", MIGRATIONS)
    database = Database(settings)
    connection = await asyncpg.connect(database.url.render_as_string(hide_password=False))
    for statement in BEFORE:
        await connection.execute(statement)
    await connection.close()

    await migrate(settings, MIGRATIONS)

    async with database.begin() as opened:
        row = (await opened.execute(select(tables.jobs))).one()
        batch = {**row._mapping, "id": "b", "kind": "batch"}
        await opened.execute(
            tables.jobs.insert().values(**batch | {"container_id": None, "cluster_id": None, "node": None})
        )
        await opened.execute(
            tables.batch_items.insert().values(
                batch_id="b", index=0, vmid=101, hostname="web", state="queued"
            )
        )
    await database.dispose()
    assert (row.id, row.parent_id) == ("j", None)
