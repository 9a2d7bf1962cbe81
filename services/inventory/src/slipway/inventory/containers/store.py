"""Containers, their services and their credentials: what is read, and the rows that decisions write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Container
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.documents import container_document
from slipway.inventory.containers.listing import ONE, SHOWN
from slipway.inventory.decision import Write
from slipway.inventory.faults import at
from slipway.inventory.tables import clusters, containers, credentials
from slipway.runtime.database.engine import Database, Record
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


class ContainerNotFound(NotFound):
    """There is no such container."""

    code = "container.not-found"


class CredentialNotFound(NotFound):
    """The container has no such credential."""

    code = "credential.not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret as its row holds it."""

    origin: str
    """`root`, `variable` or `discovered`."""
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContainer:
    """A container that is about to be created: checked and completed."""

    id: Id
    cluster: Id
    cluster_name: str
    spec: ContainerSpec
    template_version: str | None
    bundle: str | None
    secrets: Mapping[str, Secret]
    """By name."""
    site_defaults: Mapping[str, str] = field(default_factory=dict)
    """What it took from the site defaults, by field."""


class ContainerStore:
    """Containers, their services and their credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, container: Id) -> Container:
        """Return one container as it is stored, also a deleted one."""
        return Container.model_validate_json(container_document(await self.row(container)))

    async def row(self, container: Id) -> Record:
        """Return what is read of one container, also of a deleted one.

        Raises:
            ContainerNotFound: if there is none.
        """
        rows = await self._database.fetch(ONE, container)
        if not rows:
            raise _unknown(container)
        return rows[0]

    async def secrets(self, container: Id) -> Mapping[str, Secret]:
        """Return a container's secrets as its rows hold them, by name."""
        query = select(credentials).where(credentials.c.container_id == container)
        async with self._database.autocommit() as tx:
            rows = await tx.execute(query)
            return {row.name: Secret(origin=row.origin, sealed=row.sealed) for row in rows}


def with_cluster() -> Select[Any]:
    """Select containers with the name of their cluster, as `cluster`, and its tier, as `cluster_tier`."""
    tier = clusters.c.spec["tier"].astext.label("cluster_tier")
    return select(containers, clusters.c.name.label("cluster"), tier).join(clusters)


async def container_row(tx: AsyncConnection, container: Id, *, for_update: bool = False) -> Row[Any]:
    """Return a container's row with its cluster's name.

    Raises:
        ContainerNotFound: if there is none.
    """
    query = with_cluster().where(containers.c.id == container)
    query = query.with_for_update(of=containers) if for_update else query
    row: Row[Any] | None = (await tx.execute(query)).first()
    if row is None:
        raise _unknown(container)
    return row


def target_of(row: Row[Any]) -> Target:
    """Return what a job works on, of a container's row with its cluster's name."""
    return Target(
        container=row.id,
        cluster=row.cluster_id,
        cluster_name=row.cluster,
        node=row.node,
        vmid=row.vmid,
        vmid_is_provisional=row.vmid_is_provisional,
        hostname=row.hostname,
    )


def insert_containers(new: Sequence[NewContainer], targets: Sequence[Target]) -> Sequence[Write]:
    """Return the rows of new containers and of their secrets."""
    rows = [_row(container, target) for container, target in zip(new, targets, strict=True)]
    secrets = [
        {
            "id": new_id(),
            "container_id": container.id,
            "name": name,
            "origin": secret.origin,
            "sealed": secret.sealed,
        }
        for container in new
        for name, secret in container.secrets.items()
    ]
    writes = [Write(statement=insert(containers), rows=rows)]
    return [*writes, Write(statement=insert(credentials), rows=secrets)] if secrets else writes


def update_container(container: Id, **changes: object) -> Write:
    """Return the change of a container's row."""
    return Write(statement=update(containers).where(containers.c.id == container).values(**changes))


def delete_credentials(container: Id) -> Write:
    """Return the end of a container's secrets."""
    return Write(statement=delete(credentials).where(credentials.c.container_id == container))


def replace_discovered(container: Id, sealed: Mapping[str, str]) -> Sequence[Write]:
    """Return the writes that replace a container's discovered credentials; one that stays keeps its id."""
    row = {"container_id": container, "origin": "discovered"}
    upserts = [
        Write(
            statement=upsert(credentials)
            .values(id=new_id(), name=name, sealed=text, **row)
            .on_conflict_do_update(
                constraint="credential_name",
                set_={"sealed": text},
                where=credentials.c.origin == "discovered",
            )
        )
        for name, text in sealed.items()
    ]
    others = delete(credentials).where(
        credentials.c.container_id == container,
        credentials.c.origin == "discovered",
        credentials.c.name.not_in(list(sealed)),
    )
    return [*upserts, Write(statement=others)]


async def credential_row(tx: AsyncConnection, container: Id, credential: Id) -> Row[Any]:
    """Return a credential that people may see: id, name, sealed.

    Raises:
        CredentialNotFound: if the container has no such one.
    """
    query = select(credentials).where(
        credentials.c.id == credential,
        credentials.c.container_id == container,
        credentials.c.origin.in_(SHOWN),
    )
    row = (await tx.execute(query)).first()
    if row is None:
        raise at("credential", CredentialNotFound, f"Container {container} has no credential {credential}.")
    return row


def _row(container: NewContainer, target: Target) -> dict[str, Any]:
    at, spec = now(), container.spec
    if spec.guest is not None:
        # Certificates are for the job alone: a list of a thousand containers does not repeat them.
        spec = spec.model_copy(update={"guest": spec.guest.model_copy(update={"ca": None})})
    return {
        "id": container.id,
        "cluster_id": container.cluster,
        "node": target.node,
        "node_at": at,
        "hostname": target.hostname,
        "vmid": target.vmid,
        "vmid_is_provisional": target.vmid_is_provisional,
        "template": container.spec.template,
        "template_version": container.template_version,
        "bundle": container.bundle,
        "spec": spec.model_dump(mode="json"),
        "lifecycle": Lifecycle.CREATING,
        "power": Power.UNKNOWN,
        "services": [],
        "warnings": [],
        "created_at": at,
        "updated_at": at,
    }


def _unknown(container: Id) -> ContainerNotFound:
    return ContainerNotFound(f"There is no container {container!r}.")
