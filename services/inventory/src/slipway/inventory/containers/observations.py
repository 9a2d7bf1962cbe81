"""Guests as monitor sees them: their power, and where they are.

When somebody has moved a guest, even while a job works on it, its container gets the new node at once. A job
that waits moves to the queue of that node; one that was sent finds out by itself. Others may have started the
guest, or changed its config: a warning asks for that to be looked at.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, Text, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_events import ContainerChanged
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.guests import GuestStatus
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING, JobState, Lifecycle, Power
from slipway.inventory.containers.configs import differs, may_be_old, may_have_applied, was_started
from slipway.inventory.containers.lifecycle import HOLDING
from slipway.inventory.containers.store import update_container
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.tables import containers, jobs
from slipway.inventory.writing import write
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.ids import new_id


class ObservationStore:
    """Stores what monitor sees of guests."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def observe(self, status: GuestStatus) -> None:
        """Store a guest's power, and its node if others moved it, unless something newer is stored."""
        async with self._database.begin() as tx:
            # Jobs are locked before containers, as when a record is stored.
            waiting = (await tx.execute(_waiting(status).with_for_update(of=jobs))).all()
            rows = await _rows(tx, status.cluster, status.vmid)
            # What may be old is asked of the guest anew, with its config.
            is_old = any(_is_held(row) and _is_old(status, row) for row in rows)
            changes = [(row, _changes(status, row, is_old=is_old)) for row in rows]
            await _store(tx, changes, status.observed_at)
            is_moved = any("node" in values for _, values in changes)
            if is_moved and waiting:
                await _take_along(tx, [row.id for row in waiting], status.node)
        if waiting and (is_moved or any(row.node == status.node for row in waiting)):
            async with self._database.begin() as tx:
                await outbox.add_all(tx, await self._queue.release(tx, status.cluster, status.node))

    async def miss(self, cluster: Id, vmid: int, at: Moment) -> None:
        """Store that a guest is not seen any more."""
        async with self._database.begin() as tx:
            rows = await _rows(tx, cluster, vmid)
            await _store(tx, [(row, _power(row, Power.UNKNOWN, at)) for row in rows], at)


async def _rows(tx: AsyncConnection, cluster: Id, vmid: int) -> Sequence[Row[Any]]:
    """Return the locked rows of the containers that a guest may be.

    Of a forgotten one the power is stored silently: it is true at once when the container comes back.
    """
    seen = containers.c
    may_be = or_(seen.lifecycle != Lifecycle.DELETED, seen.forgotten_as.is_not(None))
    query = select(containers).where(seen.cluster_id == cluster, seen.vmid == vmid, may_be)
    return (await tx.execute(query.with_for_update())).all()


async def _store(tx: AsyncConnection, changes: Sequence[tuple[Row[Any], dict[str, Any]]], at: Moment) -> None:
    """Store the changes of rows, and publish those that people see."""
    writes, changed = [], []
    for row, values in changes:
        if not values:
            continue
        writes.append(update_container(row.id, **values))
        power = values.get("power", row.power)
        is_shown = power != row.power or "warnings" in values or "node" in values
        if is_shown and row.lifecycle != Lifecycle.DELETED:
            event = ContainerChanged(id=row.id, power=power, observed_at=at)
            changed.append(Outgoing(message=event, message_id=f"container:{row.id}:changed:{new_id()}"))
    await write(tx, writes, changed)


def _changes(status: GuestStatus, row: Row[Any], *, is_old: bool) -> dict[str, Any]:
    """Return what a status changes of a container's row."""
    values = {} if is_old else _power(row, status.power, status.observed_at)
    if not _is_held(row):
        return values
    if new := sorted(_doubts(status, row).difference(row.warnings)):
        values["warnings"] = [*row.warnings, *new]
    if row.node != status.node and (row.node_at is None or row.node_at < status.observed_at):
        values |= {"node": status.node, "node_at": status.observed_at}
    return values


def _power(row: Row[Any], power: Power, at: Moment) -> dict[str, Any]:
    is_newer = row.observed_at is None or row.observed_at < at
    return {"power": power, "observed_at": at} if is_newer else {}


def _is_held(row: Row[Any]) -> bool:
    """Return whether a container surely is the guest; one that is being made or deleted may not be."""
    return row.lifecycle in HOLDING


def _doubts(status: GuestStatus, row: Row[Any]) -> set[str]:
    """Return the warnings of what may be otherwise by now."""
    runs = status.power is Power.RUNNING
    if runs and was_started(status, row.discovered_at):
        return {CONFIG_UNREAD, DISCOVERY_PENDING}
    applied = runs and bool(row.pending) and may_have_applied(status, row.config_at)
    is_unlike = differs(status, row.hostname, ContainerSpec.model_validate(row.spec))
    return {CONFIG_UNREAD} if applied or is_unlike or _is_old(status, row) else set()


def _is_old(status: GuestStatus, row: Row[Any]) -> bool:
    return may_be_old(status, Power(row.power), row.config_at)


def _waiting(status: GuestStatus) -> Select[tuple[str, str]]:
    """Select the job on the guest's container that waits for its turn, with its node."""
    guest = (containers.c.cluster_id == status.cluster, containers.c.vmid == status.vmid)
    waits = (jobs.c.state == JobState.QUEUED, jobs.c.released_at.is_(None))
    held = containers.c.lifecycle.in_(HOLDING)
    return select(jobs.c.id, jobs.c.node).join(containers).where(*guest, held, *waits)


async def _take_along(tx: AsyncConnection, waiting: Sequence[Id], node: str) -> None:
    """Move waiting jobs into the queue of a node."""
    place = literal(["target", "node"], ARRAY(Text))
    command = func.jsonb_set(jobs.c.command, place, func.to_jsonb(cast(node, Text)))
    await tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(waiting), jobs.c.released_at.is_(None))
        .values(node=node, command=command)
    )
