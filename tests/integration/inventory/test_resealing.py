"""A rotated key ring: what an older key sealed is sealed anew, and the older key can go."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.secrets.resealing import Resealing
from slipway.runtime.database.engine import Database
from slipway.runtime.secrets.vault import KeyRing, Vault
from support.postgres import Databases

CONTAINER = (
    "insert into containers (id, cluster_id, node, hostname, vmid, vmid_is_provisional, spec, lifecycle,"
    " power, services, warnings, created_at, updated_at)"
    " values ('a', 'c', 'pve1', 'web', 101, false, '{}', 'ready', 'running', '[]', '[]', now(), now())"
)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """A database with a cluster and a container."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with database.begin() as connection:
        await connection.execute(
            text("insert into clusters values ('c', 'home', '{}', '{}', '9', '{}', now())")
        )
        await connection.execute(text(CONTAINER))
    yield database
    await database.dispose()


async def keep(database: Database, vault: Vault, *names: str) -> None:
    async with database.begin() as connection:
        token = vault.seal(SecretStr("the token"), owner="c", field="token_secret")
        await connection.execute(tables.clusters.update().values(secrets={"token_secret": token}))
        for name in names:
            row = {"id": name, "container_id": "a", "name": name, "origin": "root"}
            sealed = vault.seal(SecretStr(f"the {name}"), owner="a", field=name)
            await connection.execute(tables.credentials.insert().values(**row, sealed=sealed))


async def test_a_rotated_ring_needs_its_older_key_no_more(database: Database, tmp_path: Path) -> None:
    """After a start under the new ring everything opens with the newest key alone."""
    ring = tmp_path / "ring.json"
    await keep(database, Vault(KeyRing.create(ring)), "k1", "k2")
    rotated = KeyRing.rotate(ring)

    await Resealing(database, Vault(rotated)).run()

    document = json.loads(ring.read_text())
    ring.write_text(
        json.dumps({**document, "keys": {document["current"]: document["keys"][document["current"]]}})
    )
    vault = Vault(KeyRing.from_file(ring))
    async with database.begin() as connection:
        secrets = (await connection.scalars(select(tables.clusters.c.secrets))).one()
        stored = (
            await connection.execute(select(tables.credentials).order_by(tables.credentials.c.id))
        ).all()
    opened = [vault.open(row.sealed, owner="a", field=row.name).get_secret_value() for row in stored]
    token = vault.open(secrets["token_secret"], owner="c", field="token_secret")
    assert (token.get_secret_value(), opened) == ("the token", ["the k1", "the k2"])


async def test_what_no_key_opens_stays_as_it_is(database: Database, tmp_path: Path) -> None:
    """A ring that lacks a key loses nothing: with the key back, all opens."""
    first = Vault(KeyRing.create(tmp_path / "first.json"))
    await keep(database, first, "k1")

    await Resealing(database, Vault(KeyRing.create(tmp_path / "other.json"))).run()

    async with database.begin() as connection:
        row = (await connection.execute(select(tables.credentials))).one()
    assert first.open(row.sealed, owner="a", field="k1").get_secret_value() == "the k1"
