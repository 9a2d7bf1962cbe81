"""Claims on names, VMIDs and containers: refused before, or broken as an index; either way told the same."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, FieldError
from slipway.contracts.values import Lifecycle
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.lifecycle import IllegalTransition, Trigger, advance
from slipway.inventory.containers.names import name_taken
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import containers, jobs
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now

_GONE: ContextVar[tuple[Id, ...]] = ContextVar("gone", default=())


class JobActive(Conflict):
    """Another job works on the container."""

    code = "job.active"


@asynccontextmanager
async def accepting(database: Database, hostname: str = "") -> AsyncIterator[AsyncConnection]:
    """Open a transaction whose broken claims become errors that say so."""
    try:
        async with database.begin() as connection:
            if gone := _GONE.get():
                left = update(containers).where(containers.c.id.in_(gone))
                await connection.execute(left.values(lifecycle=Lifecycle.DELETED))
            yield connection
    except IntegrityError as error:
        raise _claimed(error, hostname) from error


@contextmanager
def as_if_gone(ids: Sequence[Id]) -> Iterator[None]:
    """Let transactions that will be rolled back find containers gone that nothing has given up yet."""
    token = _GONE.set(tuple(ids))
    try:
        yield
    finally:
        _GONE.reset(token)


@asynccontextmanager
async def trying(connection: AsyncConnection, hostname: str = "") -> AsyncIterator[None]:
    """Let a part of a transaction fail alone; its broken claims become errors that say so."""
    try:
        async with connection.begin_nested():
            yield
    except IntegrityError as error:
        raise _claimed(error, hostname) from error


async def refuse_busy(
    connection: AsyncConnection, container: Id, kind: JobKind | None = None, hint: str = "wait for its end"
) -> None:
    """Refuse a container that a job works on; the hint says what can be done."""
    active = (await working_on(connection, [container], kind)).get(container)
    if active is not None:
        raise JobActive(f"Job {active} works on this container; {hint}.", job=active)


async def working_on(
    connection: AsyncConnection, ids: Sequence[Id], kind: JobKind | None = None
) -> Mapping[Id, Id]:
    """Give the jobs that are in the way of another one of a kind, by container.

    A copy is in the way of all that is done to its source, whose config Proxmox locks; not of other copies.
    """
    works = select(jobs.c.container_id.label("of"), jobs.c.id)
    works = works.where(jobs.c.container_id.in_(ids), jobs.c.state.in_(ACTIVE))
    copies = select(jobs.c.source_id, jobs.c.id).where(
        jobs.c.source_id.in_(ids if kind is not JobKind.CLONE else ()), jobs.c.state.in_(ACTIVE)
    )
    return {row.of: row.id for row in await connection.execute(works.union_all(copies))}


async def move(connection: AsyncConnection, row: Row[Any], trigger: Trigger) -> None:
    """Move a container on in its life."""
    lifecycle = Lifecycle(row.lifecycle)
    if lifecycle is Lifecycle.DELETED and trigger is Trigger.DELETION_ACCEPTED:
        raise IllegalTransition("The container is deleted already.", state=lifecycle)
    values: dict[str, object] = {
        "lifecycle": advance(lifecycle, trigger),
        "warnings": [],
        "updated_at": now(),
    }
    values["forgotten_as"] = lifecycle if trigger is Trigger.FORGOTTEN else None
    values["deleting_as"] = lifecycle if trigger is Trigger.DELETION_ACCEPTED else None
    await connection.execute(update(containers).where(containers.c.id == row.id).values(**values))


def _claimed(error: IntegrityError, hostname: str) -> Exception:
    """Give what a broken claim means; what is no claim stays what it is."""
    said = str(error.orig)
    if "claim_hostname" in said:
        return name_taken(hostname)
    if "claim_vmid" in said:
        message = "Another container of this cluster has that VMID by now."
        return VmidTaken(message, errors=[FieldError(field="vmid", message=message)])
    if "claim_job" in said:
        return JobActive("Another job was accepted for this container at the same moment; wait for its end.")
    return error
