"""Every way to a schema leads to the same tables: the revisions from the first on, and the code."""

import importlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

from slipway.runtime.database.engine import Database
from slipway.runtime.database.tables import outbox_table
from support.postgres import Databases

COMMENTS = {"modify_comment", "add_table_comment", "remove_table_comment"}
"""Differences that no statement can see."""


@pytest.mark.parametrize("service", ["gateway", "inventory", "catalog"])
async def test_revisions_make_the_tables_of_the_code(databases: Databases, service: str) -> None:
    """A fresh database goes the way of one that was upgraded, so a forgotten revision shows here."""
    migrations = importlib.import_module(f"slipway.{service}.app").MIGRATIONS
    metadata = importlib.import_module(f"slipway.{service}.tables").metadata
    database = Database(await databases.make(service, migrations))

    async with database.begin() as connection:
        outbox = await connection.scalar(text("select to_regclass('outbox')"))
        differences = await connection.run_sync(_compare, _whole(metadata, has_outbox=outbox is not None))

    await database.dispose()
    assert differences == []


def _whole(metadata: MetaData, *, has_outbox: bool) -> MetaData:
    whole = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(whole)
    if has_outbox and "outbox" not in whole.tables:
        outbox_table(whole)
    return whole


def _compare(connection: Connection, metadata: MetaData) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": False})
    differences = compare_metadata(context, metadata)
    flat = [change for each in differences for change in (each if isinstance(each, list) else [each])]
    return [change for change in flat if change[0] not in COMMENTS]
