"""Every way to a schema leads to the same tables: the revisions from the first on, and the code."""

import importlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

from slipway.runtime.database.engine import Database
from slipway.runtime.database.tables import outbox_table
from support.postgres import Databases

WORDS = {"modify_comment", "add_table_comment", "remove_table_comment"}
"""Differences that no statement can see."""


@pytest.mark.parametrize("service", ["gateway", "inventory", "catalog"])
async def test_revisions_make_the_tables_of_the_code(databases: Databases, service: str) -> None:
    """A fresh database goes the way of one that was upgraded, so a forgotten revision shows here."""
    migrations = importlib.import_module(f"slipway.{service}.app").MIGRATIONS
    wanted = importlib.import_module(f"slipway.{service}.tables").metadata
    database = Database(await databases.make(service, migrations))

    async with database.begin() as connection:
        found = await connection.scalar(text("select to_regclass('outbox')"))
        differences = await connection.run_sync(_compare, _whole(wanted, has_outbox=found is not None))

    await database.dispose()
    assert differences == []


def _whole(wanted: MetaData, *, has_outbox: bool) -> MetaData:
    whole = MetaData()
    for table in wanted.tables.values():
        table.to_metadata(whole)
    if has_outbox:
        outbox_table(whole)
    return whole


def _compare(connection: Connection, wanted: MetaData) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": False})
    found = compare_metadata(context, wanted)
    flat = [change for each in found for change in (each if isinstance(each, list) else [each])]
    return [change for change in flat if change[0] not in WORDS]
