"""The queue: a job waits as a row; its command enters the outbox when its node may begin it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, RunJob
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory.installation.store import IS_ACTIVE
from slipway.inventory.jobs.scheduling import Entry, Limits, choose, order
from slipway.inventory.tables import ACTIVE, MAKING, jobs, nodes
from slipway.runtime.database.outbox import LARGEST_BYTES, Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

_ENTRY = (jobs.c.id, jobs.c.kind, jobs.c.actor)
NO_JOBS: Mapping[Id, RunJob] = {}


@dataclass(frozen=True, slots=True)
class Queue:
    """Lets jobs begin."""

    limits: Limits

    async def release(
        self,
        tx: AsyncConnection,
        cluster: Id,
        node: str,
        new: Mapping[Id, RunJob] = NO_JOBS,
        *,
        actor: str = "",
    ) -> Sequence[Outgoing]:
        """Let as many waiting jobs of a node begin as it may run, under the lock of its queue.

        Args:
            tx: the transaction.
            cluster: of the node.
            node: whose queue.
            new: jobs that wait there too and have no row yet, by id.
            actor: who requested those.

        Returns:
            The commands of those that begin, in their order; the caller adds them to the outbox, and notes in
            the rows of new ones that they do.
        """
        await lock_queue(tx, cluster, node)
        here = (jobs.c.cluster_id == cluster, jobs.c.node == node, jobs.c.state.in_(ACTIVE))
        runs = jobs.c.released_at.is_not(None)
        # A node in maintenance is being emptied, so moves away from it begin nevertheless.
        may = or_(runs, jobs.c.kind == JobKind.MIGRATE, ~exists(_maintenance(cluster, node)))
        # No more than a node takes can be chosen of one person: a thousand of theirs hide nobody else's.
        group = [jobs.c.actor, jobs.c.kind.in_(MAKING), runs]
        turn = func.row_number().over(partition_by=group, order_by=jobs.c.id).label("turn")
        lines = select(*_ENTRY, runs.label("runs"), turn).where(*here, may).subquery()
        rest = select(
            exists(_maintenance(cluster, node)).label("is_on"), (~IS_ACTIVE).label("is_paused")
        ).subquery()
        in_turn = or_(lines.c.runs, lines.c.turn <= self.limits.jobs)
        rows = (await tx.execute(select(rest, lines).outerjoin(lines, in_turn))).all()
        entries: dict[bool, list[Entry]] = {True: [], False: []}
        for row in rows:
            if row.id is not None:
                entries[row.runs].append(_entry(row))
        waiting = [Entry(job=job, kind=command.kind, actor=actor) for job, command in new.items()]
        entries[False] += [each for each in waiting if not rows[0].is_on or each.kind is JobKind.MIGRATE]
        if rows[0].is_paused:
            return ()
        chosen = choose(entries[False], entries[True], self.limits)
        return await _begin(tx, [entry.job for entry in chosen], new)

    async def positions(self, tx: AsyncConnection, rows: Sequence[Row[Any]]) -> Mapping[Id, tuple[int, str]]:
        """Return where waiting jobs stand in the queue of their node, and what they wait for."""
        wait = [row for row in rows if row.state == JobState.QUEUED and row.released_at is None]
        ids = {row.id for row in wait}
        positions: dict[Id, tuple[int, str]] = {}
        for cluster, node in sorted({(row.cluster_id, row.node) for row in wait if row.node is not None}):
            in_maintenance = await tx.scalar(_maintenance(cluster, node)) is not None
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


def _maintenance(cluster: Id, node: str) -> Select[tuple[str]]:
    """Select a node if it is in maintenance."""
    here = (nodes.c.cluster_id == cluster, nodes.c.node == node)
    return select(nodes.c.node).where(*here, nodes.c.in_maintenance)


async def _begin(tx: AsyncConnection, chosen: list[Id], new: Mapping[Id, RunJob]) -> Sequence[Outgoing]:
    commands = dict(new)
    if earlier := [job for job in chosen if job not in new]:
        begun = update(jobs).where(jobs.c.id.in_(earlier)).values(released_at=now())
        rows = await tx.execute(begun.returning(jobs.c.id, jobs.c.command))
        commands |= {row.id: RunJob.model_validate(row.command) for row in rows}
    return [_order(commands[job]) for job in chosen]


def _order(command: RunJob) -> Outgoing:
    """Return the order that begins a job, or cancels one whose command can't leave.

    The request that let it begin is not refused.
    """
    size_bytes = len(command.model_dump_json().encode())
    if size_bytes <= LARGEST_BYTES:
        return Outgoing(message=command, message_id=f"job:{command.job}:run")
    log.error("job cancelled: its command can't be sent", job=command.job, size_bytes=size_bytes)
    return Outgoing(message=cancel_order(command), message_id=f"job:{command.job}:given-up")


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
