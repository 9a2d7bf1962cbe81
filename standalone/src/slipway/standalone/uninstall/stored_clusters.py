"""The clusters that an installation knows, with their access opened: read from the database itself.

Also those that were removed from Slipway: their access on Proxmox was left as it was then.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from slipway.cli.errors import CommandFailed
from slipway.contracts.clusters import ClusterSpec
from slipway.proxmox.access import ClusterAccess, api_access, node_accesses
from slipway.runtime.database.engine import Database
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.settings import DatabaseSettings
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.embedded.postgres import EmbeddedPostgres
from slipway.standalone.embedded.process import EmbeddedFailure

_CLUSTERS = """
    select id, spec::text, secrets::text, removed_at is not null as is_removed
    from inventory.clusters order by is_removed, name
"""
_ADDRESSES = "select node, address from inventory.nodes where cluster_id = $1 and address is not null"
_IS_THERE = "select to_regclass('inventory.clusters') is not null as known"
_TOKEN = re.compile(r"slipway-(?P<id>[a-z0-9]{1,20})@pve!main")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCluster:
    """One cluster."""

    id: str
    name: str
    token_id: str
    access: ClusterAccess | None
    """None if its secrets can't be opened, or went when it was removed from Slipway."""
    is_removed: bool = False
    """Whether it was removed from Slipway, which left its access on Proxmox as it was."""
    address: str
    """Of a node, for people."""
    port: int = 22
    """Of SSH there."""

    @property
    def script_id(self) -> str | None:
        """The id under which make-token.sh made its access; None if something else did."""
        match = _TOKEN.fullmatch(self.token_id)
        return match["id"] if match else None


async def read_clusters(installation: Installation) -> list[StoredCluster]:
    """Read them from the database that runs, or from one that runs only meanwhile.

    Raises:
        CommandFailed: if the database can't be started or read.
    """
    settings = installation.database("inventory")
    if settings is not None:
        return await _read(installation, settings)
    postgres = installation.server_folder("postgres")
    if not (postgres / "cluster" / "PG_VERSION").is_file():
        return []
    server = EmbeddedPostgres(installation.folder.path)
    try:
        server.start()
        url = SecretStr(server.admin_url)
        return await _read(installation, DatabaseSettings(database_url=url, database_schema="inventory"))
    except EmbeddedFailure as error:
        raise CommandFailed(
            f"what clusters there are can't be read, so nothing was changed: {error}\n"
            "Their access can be taken away on a node of each: `ID=... sh -s remove < make-token.sh`; the id "
            "stands in the token's name, slipway-ID@pve!main."
        ) from error
    finally:
        if server.is_started:
            server.stop()


async def read_stored(database: Database, key_ring: Path) -> list[StoredCluster]:
    """Read them from a database, with the keys that open their secrets; those that were removed are last."""
    if not (await database.fetch(_IS_THERE))[0].known:
        return []
    found: dict[tuple[str, str], StoredCluster] = {}
    for row in await database.fetch(_CLUSTERS):
        spec = ClusterSpec.model_validate_json(row.spec)
        addresses = {each.node: each.address for each in await database.fetch(_ADDRESSES, row.id)}
        sealed = None if row.is_removed else json.loads(row.secrets)
        one = _cluster(key_ring, str(row.id), spec, sealed, addresses)
        found.setdefault((one.token_id, spec.endpoint), one)
    return list(found.values())


async def _read(installation: Installation, settings: DatabaseSettings) -> list[StoredCluster]:
    database = Database(settings)
    try:
        return await read_stored(database, installation.folder.key_ring)
    finally:
        await database.dispose()


def _cluster(
    key_ring: Path,
    cluster: str,
    spec: ClusterSpec,
    sealed: Mapping[str, str] | None,
    addresses: Mapping[str, str],
) -> StoredCluster:
    """Return a cluster; without sealed secrets it is one that was removed."""
    address, port = spec.ssh_place()
    return StoredCluster(
        id=cluster,
        name=spec.name,
        token_id=spec.token_id or spec.username or "",
        access=None if sealed is None else _access(key_ring, cluster, spec, sealed, addresses),
        is_removed=sealed is None,
        address=address,
        port=port,
    )


def _access(
    key_ring: Path,
    cluster: str,
    spec: ClusterSpec,
    sealed: Mapping[str, str],
    addresses: Mapping[str, str],
) -> ClusterAccess | None:
    try:
        vault = Vault(KeyRing.from_file(key_ring))
        opened = {field: vault.open(text, owner=cluster, field=field) for field, text in sealed.items()}
    except SecretUnreadable:
        return None
    return ClusterAccess(api=api_access(spec, opened), nodes=node_accesses(spec, opened, addresses))
