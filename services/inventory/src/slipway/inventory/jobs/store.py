"""Jobs: read by people, stored from the run records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Job, JobPage, ListJobs, RunJob, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.batches.items import (
    batch_job,
    codes_of,
    counts_of,
    item_moved,
    items_of,
    lock_parent,
)
from slipway.inventory.containers.lifecycle import Standing, actions
from slipway.inventory.jobs.outcomes import move_container
from slipway.inventory.jobs.queue import ACTIVE, MAKING, Queue
from slipway.inventory.paging import page
from slipway.inventory.tables import containers, credentials, jobs
from slipway.runtime.database.engine import Database
from slipway.runtime.process.logs import get_logger

log = get_logger()


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job.not-found"


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """A job's secrets as their rows keep them, and where the job stands."""

    container: Id
    sealed: Mapping[str, tuple[str, str]]
    """Name to origin and what the vault sealed."""
    state: JobState
    percent: int
    exists_on_host: bool


class JobStore:
    """Jobs."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def get(self, job: Id) -> Job:
        """Give one job."""
        async with self._database.begin() as connection:
            row = await job_row(connection, job)
            if row.kind == JobKind.BATCH:
                counts = await counts_of(connection, [row.id])
                codes = await codes_of(connection, [row.id])
                return batch_job(row, counts, codes, await items_of(connection, row.id))
            return _job(row, await self._queue.positions(connection, [row]))

    async def is_batch(self, job: Id) -> bool:
        """Tell whether a job is a batch."""
        async with self._database.begin() as connection:
            kind = await connection.scalar(select(jobs.c.kind).where(jobs.c.id == job))
        return bool(kind == JobKind.BATCH)

    async def list(self, query: ListJobs) -> JobPage:
        """Give jobs, newest first."""
        wanted = _select().order_by(jobs.c.id.desc()).limit(query.limit + 1)
        if query.cursor is not None:
            wanted = wanted.where(jobs.c.id < query.cursor)
        if query.container is not None:
            wanted = wanted.where(jobs.c.container_id == query.container)
        if query.parent is not None:
            wanted = wanted.where(jobs.c.parent_id == query.parent)
        if query.state:
            wanted = wanted.where(jobs.c.state.in_(query.state))
        if query.kind:
            wanted = wanted.where(jobs.c.kind.in_(query.kind))
        async with self._database.begin() as connection:
            rows = list((await connection.execute(wanted)).all())
            places = await self._queue.positions(connection, rows)
            batches = [row.id for row in rows if row.kind == JobKind.BATCH]
            counts, codes = await counts_of(connection, batches), await codes_of(connection, batches)

        def make(row: Row[Any]) -> Job:
            return batch_job(row, counts, codes) if row.kind == JobKind.BATCH else _job(row, places)

        items, following = page(rows, query.limit, make, "id")
        return JobPage(items=items, next=following)

    async def secrets(self, job: Id) -> StoredSecrets:
        """Give what only the run may know."""
        async with self._database.begin() as connection:
            row = await job_row(connection, job)
            stored = await connection.execute(
                select(credentials).where(
                    credentials.c.container_id == row.container_id,
                    credentials.c.origin.in_(["root", "variable"]),
                )
            )
            sealed = {each.name: (each.origin, each.sealed) for each in stored}
        record = row.record or {}
        return StoredSecrets(
            container=row.container_id,
            sealed=sealed,
            state=JobState(row.state),
            percent=row.percent,
            exists_on_host=bool(record.get("exists_on_host")),
        )

    async def take_record(self, record: RunRecord, sequence: int) -> None:
        """Take where a run stands. Idempotent: a row takes a record only with a higher sequence."""
        async with self._database.begin() as connection:
            known = await connection.scalar(select(jobs.c.record_sequence).where(jobs.c.id == record.id))
            if known is not None and known >= sequence:
                return
            await lock_parent(connection, record)
            job = (
                await connection.execute(select(jobs).where(jobs.c.id == record.id).with_for_update())
            ).first()
            if job is None:
                log.warning("record of an unknown job", job=record.id)
            elif job.record_sequence < sequence:
                await _keep(connection, record, sequence)
                await move_container(connection, record, RunJob.model_validate(job.command))
                if job.parent_id is not None and job.state != record.state:
                    await item_moved(connection, job.parent_id, record)
                if record.state.is_terminal:
                    await self._queue.release(connection, job.cluster_id, job.node)


async def job_row(connection: AsyncConnection, job: Id) -> Row[Any]:
    """Give a job's row with its container's hostname and VMID.

    Raises:
        JobNotFound: if there is none.
    """
    row = (await connection.execute(_select().where(jobs.c.id == job))).first()
    if row is None:
        raise JobNotFound(f"There is no job {job!r}.")
    return row


def _select() -> Any:
    shown = (containers.c.hostname, containers.c.vmid, containers.c.lifecycle)
    return select(jobs, *shown, _is_busy(), _is_outdated()).outerjoin(containers)


def _is_busy() -> ColumnElement[bool]:
    others = jobs.alias()
    same = (others.c.container_id == jobs.c.container_id, others.c.id != jobs.c.id)
    return exists().where(*same, others.c.state.in_(ACTIVE)).label("is_busy")


def _is_outdated() -> ColumnElement[bool]:
    """Whether a job was done again, or what it made was made anew or deleted since."""
    others = jobs.alias()
    is_deleted = and_(others.c.kind == JobKind.DELETE, others.c.state == JobState.SUCCEEDED)
    anew = and_(jobs.c.kind.in_(MAKING), or_(others.c.kind.in_(MAKING), is_deleted))
    same = (others.c.container_id == jobs.c.container_id, others.c.id > jobs.c.id)
    return exists().where(*same, or_(others.c.retry_of == jobs.c.id, anew)).label("is_outdated")


async def _keep(connection: AsyncConnection, record: RunRecord, sequence: int) -> None:
    await connection.execute(
        update(jobs)
        .where(jobs.c.id == record.id)
        .values(
            state=record.state,
            phase=record.phase,
            percent=record.percent,
            record=record.model_dump(mode="json"),
            record_sequence=sequence,
            started_at=record.started_at,
            finished_at=record.finished_at,
        )
    )


def _job(row: Row[Any], places: Mapping[str, tuple[int, str]]) -> Job:
    record = RunRecord.model_validate(row.record) if row.record else None
    steps = record.steps if record else ()
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        phase=record.phase if record else None,
        percent=row.percent,
        step=steps[-1].name if steps and not JobState(row.state).is_terminal else None,
        container=row.container_id,
        vmid=row.vmid,
        hostname=row.hostname,
        actor=row.actor,
        retry_of=row.retry_of,
        parent=row.parent_id,
        steps=steps,
        warnings=record.warnings if record else (),
        error=record.error if record else None,
        args=RunJob.model_validate(row.command).args,
        position=places[row.id][0] if row.id in places else None,
        waits_for=places[row.id][1] if row.id in places else (record.waits_for if record else None),
        actions=actions(JobKind(row.kind), JobState(row.state), record, _standing(row)),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _standing(row: Row[Any]) -> Standing | None:
    if row.lifecycle is None:
        return None
    lifecycle = Lifecycle(row.lifecycle)
    return Standing(lifecycle=lifecycle, is_busy=row.is_busy, is_outdated=row.is_outdated)
