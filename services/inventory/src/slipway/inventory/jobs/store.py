"""Jobs, as rows."""

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.contracts.values import JobState
from slipway.inventory.decision import Write
from slipway.inventory.tables import ACTIVE, MAKING, clusters, containers, jobs


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job.not-found"


async def job_row(tx: AsyncConnection, job: Id) -> Row[Any]:
    """Return a job's row; see `job_rows`.

    Raises:
        JobNotFound: if there is none.
    """
    row = (await tx.execute(job_rows().where(jobs.c.id == job))).first()
    if row is None:
        raise JobNotFound(f"There is no job {job!r}.")
    return row


def store_record(record: RunRecord, sequence: int) -> Write:
    """Return the change of a job's row by its newest record."""
    values = {
        "state": record.state,
        "phase": record.phase,
        "percent": record.percent,
        "record": record.model_dump(mode="json"),
        "record_sequence": sequence,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }
    return update_job(record.id, **values)


def update_job(job: Id, **changes: object) -> Write:
    """Return the change of a job's row."""
    return Write(statement=update(jobs).where(jobs.c.id == job).values(**changes))


def job_rows() -> Any:
    """Select jobs with their container's hostname, VMID, cluster and lifecycle, and what came after them."""
    cluster = clusters.c.name.label("cluster")
    shown = (containers.c.hostname, containers.c.vmid, containers.c.lifecycle, cluster)
    rows = select(jobs, *shown, _is_busy(), _is_outdated())
    return rows.outerjoin(containers, containers.c.id == jobs.c.container_id).outerjoin(
        clusters, clusters.c.id == containers.c.cluster_id
    )


def _is_busy() -> ColumnElement[bool]:
    others = jobs.alias()
    same = (others.c.container_id == jobs.c.container_id, others.c.id != jobs.c.id)
    return exists().where(*same, others.c.state.in_(ACTIVE)).label("is_busy")


def _is_outdated() -> ColumnElement[bool]:
    """Return whether a job was done again, or what it made was made anew or deleted since."""
    others = jobs.alias()
    is_deleted = and_(others.c.kind == JobKind.DELETE, others.c.state == JobState.SUCCEEDED)
    anew = and_(jobs.c.kind.in_(MAKING), or_(others.c.kind.in_(MAKING), is_deleted))
    same = (others.c.container_id == jobs.c.container_id, others.c.id > jobs.c.id)
    return exists().where(*same, or_(others.c.retry_of == jobs.c.id, anew)).label("is_outdated")
