"""The queue: a job waits as a row; its command enters the outbox when its node may begin it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, RunJob
from slipway.contracts.message import Id
from slipway.contracts.problems import TooLarge
from slipway.contracts.values import JobState
from slipway.inventory.jobs.scheduling import Entry, Limits, choose, order
from slipway.inventory.tables import ACTIVE, MAKING, jobs, nodes
from slipway.runtime.database import outbox
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

_ENTRY = (jobs.c.id, jobs.c.kind, jobs.c.actor)


@dataclass(frozen=True, slots=True)
class Queue:
    """Lets jobs begin."""

    limits: Limits

    async def release(self, tx: AsyncConnection, cluster: Id, node: str) -> None:
        """Let as many waiting jobs of a node begin as it may run, under the lock of its queue."""
        await lock_queue(tx, cluster, node)
        in_maintenance = await _in_maintenance(tx, cluster, node)
        # A node in maintenance is being emptied, so moves away from it begin nevertheless.
        may = (jobs.c.kind == JobKind.MIGRATE,) if in_maintenance else ()
        here = (jobs.c.cluster_id == cluster, jobs.c.node == node, jobs.c.state.in_(ACTIVE))
        running = await tx.execute(select(*_ENTRY).where(*here, jobs.c.released_at.is_not(None)))
        # No more than a node takes can be chosen of one person: a thousand of theirs hide nobody else's.
        group = [jobs.c.actor, jobs.c.kind.in_(MAKING)]
        turn = func.row_number().over(partition_by=group, order_by=jobs.c.id).label("turn")
        lines = select(*_ENTRY, turn).where(*here, *may, jobs.c.released_at.is_(None)).subquery()
        waiting = await tx.execute(select(lines).where(lines.c.turn <= self.limits.jobs))
        chosen = choose([_entry(row) for row in waiting], [_entry(row) for row in running], self.limits)
        await _send(tx, [entry.job for entry in chosen])

    async def positions(self, tx: AsyncConnection, rows: Sequence[Row[Any]]) -> Mapping[Id, tuple[int, str]]:
        """Return where waiting jobs stand in the queue of their node, and what they wait for."""
        wait = [row for row in rows if row.state == JobState.QUEUED and row.released_at is None]
        ids = {row.id for row in wait}
        positions: dict[Id, tuple[int, str]] = {}
        for cluster, node in sorted({(row.cluster_id, row.node) for row in wait if row.node is not None}):
            in_maintenance = await _in_maintenance(tx, cluster, node)
            line = await self._order(tx, cluster, node)
            if in_maintenance:
                line = sorted(line, key=lambda entry: entry.kind is not JobKind.MIGRATE)
            for place, entry in enumerate(line):
                if entry.job in ids:
                    rests = in_maintenance and entry.kind is not JobKind.MIGRATE
                    positions[entry.job] = (place, "maintenance" if rests else "limit")
        return positions

    async def _order(self, tx: AsyncConnection, cluster: Id, node: str) -> Sequence[Entry]:
        here = (jobs.c.cluster_id == cluster, jobs.c.node == node, jobs.c.state.in_(ACTIVE))
        rows = (await tx.execute(select(*_ENTRY, jobs.c.released_at).where(*here))).all()
        waiting = [_entry(row) for row in rows if row.released_at is None]
        running = [_entry(row) for row in rows if row.released_at is not None]
        return order(waiting, running, self.limits)


async def lock_queue(tx: AsyncConnection, cluster: Id, node: str) -> None:
    """Lock a node's queue until this transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"queue {cluster} {node}"))))


async def _in_maintenance(tx: AsyncConnection, cluster: Id, node: str) -> bool:
    here = (nodes.c.cluster_id == cluster, nodes.c.node == node)
    return bool(await tx.scalar(select(nodes.c.in_maintenance).where(*here)))


async def _send(tx: AsyncConnection, chosen: list[Id]) -> None:
    """Send the commands of waiting jobs, in their order."""
    if not chosen:
        return
    rows = await tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(chosen))
        .values(released_at=now())
        .returning(jobs.c.id, jobs.c.command)
    )
    commands = {row.id: RunJob.model_validate(row.command) for row in rows}
    for job in chosen:
        try:
            await outbox.add(tx, commands[job], message_id=f"job:{job}:run")
        except TooLarge as error:
            await _give_up(tx, commands[job], error)


async def _give_up(tx: AsyncConnection, command: RunJob, why: TooLarge) -> None:
    """Cancel a job whose command can't leave; the request that let it begin is not refused."""
    log.error("job cancelled: its command can't be sent", job=command.job, why=why.message)
    await outbox.add(tx, cancel_order(command), message_id=f"job:{command.job}:given-up")


def cancel_order(command: RunJob, *, remove_on_cancel: bool = False) -> CancelJob:
    """Return the order that ends a job, whether it waits or runs."""
    return CancelJob(
        job=command.job,
        kind=command.kind,
        target=command.target,
        remove_on_cancel=remove_on_cancel,
        exists_on_host=command.finds_container,
    )


def _entry(row: Any) -> Entry:
    return Entry(job=row.id, kind=JobKind(row.kind), actor=row.actor)
