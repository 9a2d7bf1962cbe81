"""Jobs, as rows."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.contracts.values import JobState, Phase
from slipway.inventory.decision import Write
from slipway.inventory.tables import ACTIVE, MAKING, clusters, containers, credentials, jobs


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
        raise job_not_found(job)
    return row


def job_not_found(job: Id) -> JobNotFound:
    """Return the refusal of a job that does not exist."""
    return JobNotFound(f"There is no job {job!r}.")


def run_secrets(job: Id, origins: Collection[str]) -> Select[Any]:
    """Select where a job stands, a row for each secret of its container of these origins; at least one."""
    exists_on_host = func.coalesce(jobs.c.record["exists_on_host"].as_boolean(), false())
    secret = (credentials.c.name, credentials.c.origin, credentials.c.sealed)
    mine = and_(credentials.c.container_id == jobs.c.container_id, credentials.c.origin.in_(origins))
    shown = (jobs.c.state, jobs.c.percent, jobs.c.container_id, exists_on_host.label("exists_on_host"))
    return select(*shown, *secret).outerjoin(credentials, mine).where(jobs.c.id == job)


def store_record(record: RunRecord, sequence: int) -> Write:
    """Return the change of a job's row by its newest record."""
    return update_job(record.id, **_values(record, sequence), finished_at=record.finished_at)


def store_progress(record: RunRecord, sequence: int) -> tuple[Executable, Mapping[str, object]]:
    """Return the change of a job and its container by a record that is not terminal: a statement, its values.

    It returns how many jobs it changed: none if the row has a newer record, or if a batch has to be told.
    """
    values = {f"new_{name}": value for name, value in _values(record, sequence).items()}
    statement = _PROGRESS_OF_MADE if exists_for_sure(record) else _PROGRESS
    return statement, {"job": record.id, **values}


def exists_for_sure(record: RunRecord) -> bool:
    """Return whether a job has created its container: before, someone else may still get the VMID."""
    is_made = record.state.is_terminal or record.phase not in {None, Phase.CREATE}
    return record.exists_on_host and record.kind.creates_container and is_made


def _values(record: RunRecord, sequence: int) -> dict[str, object]:
    return {
        "state": record.state,
        "phase": record.phase,
        "percent": record.percent,
        "record": record.model_dump(mode="json"),
        "record_sequence": sequence,
        "started_at": record.started_at,
    }


def _progress(*, is_made: bool) -> Executable:
    names = ("state", "phase", "percent", "record", "record_sequence", "started_at")
    new = {name: bindparam(f"new_{name}", type_=jobs.c[name].type) for name in names}
    tells_nobody = or_(jobs.c.parent_id.is_(None), jobs.c.state == new["state"])
    is_older = jobs.c.record_sequence < new["record_sequence"]
    moved = update(jobs).where(jobs.c.id == bindparam("job", type_=Text), is_older, tells_nobody)
    changed = moved.values(new).returning(jobs.c.container_id).cte("moved")
    query = select(func.count()).select_from(changed)
    if not is_made:
        return query
    provisional = (containers.c.id == changed.c.container_id, containers.c.vmid_is_provisional)
    return query.add_cte(update(containers).where(*provisional).values(vmid_is_provisional=False).cte("made"))


# Made once: putting them together takes longer than sending them.
_PROGRESS, _PROGRESS_OF_MADE = _progress(is_made=False), _progress(is_made=True)


def update_job(job: Id, **changes: object) -> Write:
    """Return the change of a job's row."""
    return Write(statement=update(jobs).where(jobs.c.id == job).values(**changes))


def job_rows() -> Any:
    """Select jobs with their container's hostname, VMID and lifecycle, their cluster, and what came after."""
    cluster = clusters.c.name.label("cluster")
    shown = (containers.c.hostname, containers.c.vmid, containers.c.lifecycle, cluster)
    rows = select(jobs, *shown, _is_busy(), _is_outdated())
    return rows.outerjoin(containers, containers.c.id == jobs.c.container_id).outerjoin(
        clusters, clusters.c.id == func.coalesce(containers.c.cluster_id, jobs.c.cluster_id)
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
