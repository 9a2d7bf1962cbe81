"""Containers, their services and their credentials: what is read, and the rows that decisions write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Row, Select, Text, any_, cast, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Container, ContainerPage, CredentialRef, ListContainers
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.listing import comes_after, filters_of, order_of
from slipway.inventory.decision import Write
from slipway.inventory.faults import at
from slipway.inventory.paging import PORTION, Filling, require_cursor
from slipway.inventory.tables import ACTIVE, clusters, containers, credentials, jobs
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

SHOWN = ("root", "discovered")
"""Origins of the credentials that people see; they know the variables, which they set themselves."""


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


class ContainerStore:
    """Containers, their services and their credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, container: Id) -> Container:
        """Return one container, also a deleted one."""
        async with self._database.begin() as tx:
            # Its job first: one that ends in between is then caught up with, and the row is never older.
            make = await _maker(tx, [container])
            return make(await container_row(tx, container))

    async def list(self, query: ListContainers) -> ContainerPage:
        """Return living containers, oldest first."""
        selected = with_cluster().where(*filters_of(query)).order_by(*order_of(query.sort))
        filling = Filling[Container](query.limit, "id")
        async with self._database.begin() as tx:
            await require_cursor(tx, containers.c.id, query.cursor)
            has_more = True
            while has_more and not filling.is_full:
                portion = min(PORTION, query.limit + 1 - len(filling.items))
                last = filling.last or query.cursor
                further = selected if last is None else selected.where(comes_after(query.sort, last))
                rows = (await tx.execute(further.limit(portion))).all()
                filling.take(rows, await _maker(tx, [row.id for row in rows]))
                has_more = len(rows) == portion
        items, following = filling.page
        return ContainerPage(items=items, next=following)

    async def secrets(self, container: Id) -> Mapping[str, Secret]:
        """Return a container's secrets as its rows hold them, by name."""
        query = select(credentials).where(credentials.c.container_id == container)
        async with self._database.begin() as tx:
            rows = await tx.execute(query)
            return {row.name: Secret(origin=row.origin, sealed=row.sealed) for row in rows}


def with_cluster() -> Select[Any]:
    """Select containers with the name of their cluster, as `cluster`."""
    return select(containers, clusters.c.name.label("cluster")).join(clusters)


async def container_row(tx: AsyncConnection, container: Id, *, for_update: bool = False) -> Row[Any]:
    """Return a container's row with its cluster's name.

    Raises:
        ContainerNotFound: if there is none.
    """
    query = with_cluster().where(containers.c.id == container)
    query = query.with_for_update(of=containers) if for_update else query
    row: Row[Any] | None = (await tx.execute(query)).first()
    if row is None:
        raise ContainerNotFound(f"There is no container {container!r}.")
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
    at = now()
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
        "spec": container.spec.model_dump(mode="json"),
        "lifecycle": Lifecycle.CREATING,
        "power": Power.UNKNOWN,
        "services": [],
        "warnings": [],
        "created_at": at,
        "updated_at": at,
    }


async def _maker(tx: AsyncConnection, ids: Sequence[Id]) -> Callable[[Row[Any]], Container]:
    """Return what makes a container of any of these rows: two more queries, whatever their number."""
    # One parameter, not one for each of a thousand.
    these = any_(cast(list(ids), ARRAY(Text)))
    active = await tx.execute(
        select(jobs.c.container_id, jobs.c.id).where(jobs.c.container_id == these, jobs.c.state.in_(ACTIVE))
    )
    working = {row.container_id: row.id for row in active}
    stored: dict[str, list[CredentialRef]] = {}
    query = select(credentials).where(credentials.c.container_id == these, credentials.c.origin.in_(SHOWN))
    for row in await tx.execute(query.order_by(credentials.c.name)):
        stored.setdefault(row.container_id, []).append(CredentialRef(id=row.id, name=row.name))
    return lambda row: _container(row, working.get(row.id), stored.get(row.id, ()))


def _container(row: Row[Any], job: Id | None, stored: Sequence[CredentialRef]) -> Container:
    set_apart = {
        "job": job,
        "credentials": tuple(stored),
        "is_forgotten": row.forgotten_as is not None,
        # The column says when a forgotten one was looked for.
        "looked_at": None,
    }
    made = Container.model_validate({**row._asdict(), **set_apart})
    if made.lifecycle is Lifecycle.DELETED:
        made = made.model_copy(update={"power": Power.UNKNOWN})
    is_reachable = made.power is Power.RUNNING or made.lifecycle is Lifecycle.CREATING
    return made if is_reachable else _unreachable(made)


def _unreachable(container: Container) -> Container:
    """Return a container that is stopped, deleted or not on its host: it has no address, and no links."""
    status = "stopped" if container.power is Power.STOPPED else "unknown"
    off = {"status": status, "url": None}
    services = tuple(service.model_copy(update=off) for service in container.services)
    return container.model_copy(update={"address": None, "services": services})
