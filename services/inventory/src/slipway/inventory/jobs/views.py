"""Jobs, as people see them: of their rows, their records and their place in the queue."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Job, JobPage, ListJobs, RunJob, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.batches.items import batch_job
from slipway.inventory.batches.store import items_of, tallies_of
from slipway.inventory.containers.lifecycle import Standing, actions
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.jobs.store import job_not_found, job_row, job_rows, run_secrets
from slipway.inventory.paging import page, require_cursor
from slipway.inventory.tables import jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database


class JobViews:
    """Reads jobs."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def get(self, job: Id) -> Job:
        """Return one job."""
        async with self._database.autocommit() as tx:
            row = await job_row(tx, job)
            if row.kind == JobKind.BATCH:
                tallies = await tallies_of(tx, [row.id])
                return batch_job(row, tallies[row.id], await items_of(tx, row.id))
            return _job(row, await self._queue.positions(tx, [row]))

    async def is_batch(self, job: Id) -> bool:
        """Return whether a job is a batch."""
        async with self._database.autocommit() as tx:
            kind = await tx.scalar(select(jobs.c.kind).where(jobs.c.id == job))
        return bool(kind == JobKind.BATCH)

    async def list(self, query: ListJobs, _call: Call) -> JobPage:
        """Return jobs, newest first."""
        selected = job_rows().order_by(jobs.c.id.desc()).limit(query.limit + 1)
        if query.cursor is not None:
            selected = selected.where(jobs.c.id < query.cursor)
        if query.container is not None:
            selected = selected.where(jobs.c.container_id == query.container)
        if query.parent is not None:
            selected = selected.where(jobs.c.parent_id == query.parent)
        if query.state:
            selected = selected.where(jobs.c.state.in_(query.state))
        if query.kind:
            selected = selected.where(jobs.c.kind.in_(query.kind))
        async with self._database.autocommit() as tx:
            await require_cursor(tx, jobs.c.id, query.cursor)
            rows = list((await tx.execute(selected)).all())
            places = await self._queue.positions(tx, rows)
            tallies = await tallies_of(tx, [row.id for row in rows if row.kind == JobKind.BATCH])

        def make(row: Row[Any]) -> Job:
            return batch_job(row, tallies[row.id]) if row.id in tallies else _job(row, places)

        items, following = page(rows, query.limit, make, "id")
        return JobPage(items=items, next=following)

    async def with_secrets(self, job: Id, origins: Collection[str]) -> Sequence[Row[Any]]:
        """Return where a job stands, a row for each secret of its container of these origins; at least one.

        Raises:
            JobNotFound: if there is no such job.
        """
        async with self._database.autocommit() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(run_secrets(job, origins))).all()
        if not rows:
            raise job_not_found(job)
        return rows


def _job(row: Row[Any], places: Mapping[str, tuple[int, str]]) -> Job:
    kind, state = JobKind(row.kind), JobState(row.state)
    record = RunRecord.model_validate(row.record) if row.record else None
    steps = record.steps if record else ()
    position, waits_for = places.get(row.id, (None, record.waits_for if record else None))
    return Job.model_validate(
        {
            **row._asdict(),
            "container": row.container_id,
            "parent": row.parent_id,
            "args": RunJob.model_validate(row.command).args,
            "step": steps[-1].name if steps and not state.is_terminal else None,
            "steps": steps,
            "warnings": record.warnings if record else (),
            "error": record.error if record else None,
            "position": position,
            "waits_for": waits_for,
            "actions": actions(kind, state, record, _standing(row)),
        }
    )


def _standing(row: Row[Any]) -> Standing | None:
    if row.lifecycle is None:
        return None
    lifecycle = Lifecycle(row.lifecycle)
    return Standing(lifecycle=lifecycle, is_busy=row.is_busy, is_outdated=row.is_outdated)
