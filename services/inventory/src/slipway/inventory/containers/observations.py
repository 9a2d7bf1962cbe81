"""Guests as monitor sees them: their power, and where they are.

When somebody has moved a guest, even while a job works on it, its container gets the new node at once. A job
that waits moves to the queue of that node; one that was sent finds out by itself.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_events import ContainerChanged
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.guests import GuestStatus
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING, JobState, Lifecycle, Power
from slipway.inventory.containers.configs import differs, may_be_old, may_have_applied, was_started
from slipway.inventory.containers.lifecycle import HOLDING
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.tables import containers, jobs
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id


class ObservationStore:
    """Stores what monitor sees of guests."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def observe(self, status: GuestStatus) -> None:
        """Store a guest's power, and its node if others moved it, unless something newer is stored."""
        if not await self._doubt(status):
            await self._see(status.cluster, status.vmid, status.power, status.observed_at)
        await self._follow(status)
        async with self._database.begin() as tx:
            waiting = await tx.scalar(_waiting(status).where(jobs.c.node == status.node).limit(1))
            if waiting is not None:
                await outbox.add_all(tx, await self._queue.release(tx, status.cluster, status.node))

    async def miss(self, cluster: Id, vmid: int, at: Moment) -> None:
        """Store that a guest is not seen any more."""
        await self._see(cluster, vmid, Power.UNKNOWN, at)

    async def _see(self, cluster: Id, vmid: int, power: Power, at: Moment) -> None:
        seen = containers.c
        is_deleted = seen.lifecycle == Lifecycle.DELETED
        older = select(seen.id, seen.power, is_deleted.label("is_deleted")).where(
            seen.cluster_id == cluster,
            seen.vmid == vmid,
            # Of a forgotten one it is stored silently: it is true at once when the container comes back.
            or_(~is_deleted, seen.forgotten_as.is_not(None)),
            or_(seen.observed_at.is_(None), seen.observed_at < at),
        )
        async with self._database.begin() as tx:
            for row in (await tx.execute(older.with_for_update())).all():
                await tx.execute(
                    update(containers).where(seen.id == row.id).values(power=power, observed_at=at)
                )
                if row.power != power and not row.is_deleted:
                    await _publish(tx, row.id, power, at)

    async def _doubt(self, status: GuestStatus) -> bool:
        """Add warnings for what may have changed: others may have started the guest, or changed its config.

        Return whether the observation itself may be old: the guest is asked then, with its config.
        """
        is_old = False
        async with self._database.begin() as tx:
            here = select(containers).where(*_is(status)).with_for_update()
            for row in (await tx.execute(here)).all():
                doubts = _doubts(status, row)
                is_old = is_old or _is_old(status, row)
                if new := sorted(doubts.difference(row.warnings)):
                    marked = update(containers).where(containers.c.id == row.id)
                    await tx.execute(marked.values(warnings=[*row.warnings, *new]))
                    await _publish(tx, row.id, row.power, status.observed_at)
        return is_old

    async def _follow(self, status: GuestStatus) -> None:
        seen, at = containers.c, status.observed_at
        elsewhere = select(seen.id).where(
            *_is(status),
            seen.node != status.node,
            or_(seen.node_at.is_(None), seen.node_at < at),
        )
        async with self._database.begin() as tx:
            # Jobs are locked before containers, as when a record is stored.
            waiting = (await tx.scalars(_waiting(status).with_for_update(of=jobs))).all()
            moved = (await tx.scalars(elsewhere.with_for_update())).all()
            for container in moved:
                changes = {"node": status.node, "node_at": at}
                await tx.execute(update(containers).where(seen.id == container).values(**changes))
                await _publish(tx, container, status.power, at)
            if moved and waiting:
                await _take_along(tx, [str(job) for job in waiting], status.node)


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


def _is(status: GuestStatus) -> tuple[ColumnElement[bool], ...]:
    """Return whether a container is the guest; one that is being made or deleted may not be."""
    seen = containers.c
    return seen.cluster_id == status.cluster, seen.vmid == status.vmid, seen.lifecycle.in_(HOLDING)


def _waiting(status: GuestStatus) -> Select[tuple[str]]:
    """Return the job on the guest's container that waits for its turn."""
    waits = (jobs.c.state == JobState.QUEUED, jobs.c.released_at.is_(None))
    return select(jobs.c.id).join(containers).where(*_is(status), *waits)


async def _take_along(tx: AsyncConnection, waiting: Sequence[Id], node: str) -> None:
    """Move waiting jobs into the queue of a node."""
    place = literal(["target", "node"], ARRAY(Text))
    command = func.jsonb_set(jobs.c.command, place, func.to_jsonb(cast(node, Text)))
    await tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(waiting), jobs.c.released_at.is_(None))
        .values(node=node, command=command)
    )


async def _publish(tx: AsyncConnection, container: Id, power: Power, at: Moment) -> None:
    event = ContainerChanged(id=container, power=power, observed_at=at)
    await outbox.add(tx, event, message_id=f"container:{container}:changed:{new_id()}")
