"""Containers as they are read and discovered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Row, Text, any_, cast, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import (
    Container,
    ContainerDiscovered,
    ContainerPage,
    CredentialRef,
    ListContainers,
    StoredDiscovery,
    StoreDiscovery,
)
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, NotFound
from slipway.contracts.values import DISCOVERY_PENDING, Lifecycle, Power
from slipway.inventory import audit
from slipway.inventory.containers.lifecycle import refuse_deleted
from slipway.inventory.containers.listing import comes_after, filters_of, order_of
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.paging import PORTION, Filling
from slipway.inventory.tables import clusters, containers, credentials, jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

SHOWN = ("root", "discovered")
"""Origins of the credentials that people see; variables are what they gave themselves."""


class ContainerNotFound(NotFound):
    """There is no such container."""

    code = "container.not-found"


class CredentialNotFound(NotFound):
    """The container has no such credential."""

    code = "credential.not-found"


class ContainerStore:
    """Containers, their services and their credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, container: Id) -> Container:
        """Give one container, also a deleted one."""
        async with self._database.begin() as connection:
            # Its job first: one that ends in between is then caught up with, and the row is never older.
            make = await _maker(connection, [container])
            return make(await container_row(connection, container))

    async def list(self, query: ListContainers) -> ContainerPage:
        """Give living containers, oldest first."""
        wanted = select(containers, clusters.c.name.label("cluster")).join(clusters).where(*filters_of(query))
        wanted = wanted.order_by(*order_of(query.sort))
        filling = Filling[Container](query.limit, "id")
        async with self._database.begin() as connection:
            has_more = True
            while has_more and not filling.is_full:
                portion = min(PORTION, query.limit + 1 - len(filling.items))
                last = filling.last or query.cursor
                further = wanted if last is None else wanted.where(comes_after(query.sort, last))
                rows = (await connection.execute(further.limit(portion))).all()
                filling.take(rows, await _maker(connection, [row.id for row in rows]))
                has_more = len(rows) == portion
        items, following = filling.page
        return ContainerPage(items=items, next=following)

    async def discover(self, found: StoreDiscovery, sealed: Mapping[str, str]) -> StoredDiscovery:
        """Replace what was discovered in a container; a credential keeps its id.

        Args:
            found: what monitor saw.
            sealed: name of a credential to what the vault sealed.

        Raises:
            IllegalTransition: if it is deleted by now: its secrets went with it.
        """
        async with self._database.begin() as connection:
            row = await container_row(connection, found.container, for_update=True)
            refuse_deleted(Lifecycle(row.lifecycle))
            services = [service.model_dump(mode="json") for service in found.services]
            warnings = [warning for warning in row.warnings if warning != DISCOVERY_PENDING]
            warnings += [] if found.is_settled else [DISCOVERY_PENDING]
            at = now()
            changes: dict[str, object] = {"services": services, "address": found.address}
            changes |= {"warnings": warnings, "discovered_at": at, "updated_at": at}
            await connection.execute(update(containers).where(containers.c.id == row.id).values(**changes))
            await _replace_credentials(connection, row.id, sealed)
            told = ContainerDiscovered(id=row.id, address=found.address, services=found.services)
            await outbox.add(connection, told, message_id=f"container:{row.id}:discovered:{new_id()}")
        return StoredDiscovery(services=len(services), credentials=len(sealed))

    async def reveal(self, call: Call, container: Id, credential: Id) -> Row[Any]:
        """Give a credential's row (id, name, sealed) and write down who asked."""
        query = select(credentials).where(
            credentials.c.id == credential,
            credentials.c.container_id == container,
            credentials.c.origin.in_(SHOWN),
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                message = f"Container {container} has no credential {credential}."
                raise CredentialNotFound(message, errors=[FieldError(field="credential", message=message)])
            await audit.note(connection, call, "credential.reveal", container, "done", name=row.name)
            return row


async def container_row(connection: AsyncConnection, container: Id, *, for_update: bool = False) -> Row[Any]:
    """Give a container's row with its cluster's name.

    Raises:
        ContainerNotFound: if there is none.
    """
    query = (
        select(containers, clusters.c.name.label("cluster"))
        .join(clusters)
        .where(containers.c.id == container)
    )
    row = (await connection.execute(query.with_for_update(of=containers) if for_update else query)).first()
    if row is None:
        raise ContainerNotFound(f"There is no container {container!r}.")
    return row


def target_of(row: Row[Any]) -> Target:
    """Give what a job works on, of a container's row with its cluster's name."""
    return Target(
        container=row.id,
        cluster=row.cluster_id,
        cluster_name=row.cluster,
        node=row.node,
        vmid=row.vmid,
        vmid_is_provisional=row.vmid_is_provisional,
        hostname=row.hostname,
    )


async def _replace_credentials(connection: AsyncConnection, container: Id, sealed: Mapping[str, str]) -> None:
    for name, text in sealed.items():
        row = {"container_id": container, "name": name, "origin": "discovered", "sealed": text}
        await connection.execute(
            upsert(credentials)
            .values(id=new_id(), **row)
            .on_conflict_do_update(
                constraint="credential_name",
                set_={"sealed": text},
                where=credentials.c.origin == "discovered",
            )
        )
    await connection.execute(
        delete(credentials).where(
            credentials.c.container_id == container,
            credentials.c.origin == "discovered",
            credentials.c.name.not_in(list(sealed)),
        )
    )


async def _maker(connection: AsyncConnection, ids: Sequence[Id]) -> Callable[[Row[Any]], Container]:
    """Give what makes a container of any of these rows: two more queries, whatever their number."""
    # One parameter, not one for each of a thousand.
    these = any_(cast(list(ids), ARRAY(Text)))
    active = await connection.execute(
        select(jobs.c.container_id, jobs.c.id).where(jobs.c.container_id == these, jobs.c.state.in_(ACTIVE))
    )
    working = {row.container_id: row.id for row in active}
    stored: dict[str, list[CredentialRef]] = {}
    query = select(credentials).where(credentials.c.container_id == these, credentials.c.origin.in_(SHOWN))
    for row in await connection.execute(query.order_by(credentials.c.name)):
        stored.setdefault(row.container_id, []).append(CredentialRef(id=row.id, name=row.name))
    return lambda row: _container(row, working.get(row.id), stored.get(row.id, ()))


def _container(row: Row[Any], job: Id | None, stored: Sequence[CredentialRef]) -> Container:
    set_apart = {
        "job": job,
        "credentials": tuple(stored),
        "is_forgotten": row.forgotten_as is not None,
        # The column tells when a forgotten one was looked for.
        "looked_at": None,
    }
    made = Container.model_validate({**row._asdict(), **set_apart})
    return made if made.power is not Power.STOPPED else _at_rest(made)


def _at_rest(container: Container) -> Container:
    """Give a stopped container: nothing of it is reached, nothing in it runs."""
    off = {"status": "stopped", "url": None}
    services = tuple(service.model_copy(update=off) for service in container.services)
    return container.model_copy(update={"address": None, "services": services})
