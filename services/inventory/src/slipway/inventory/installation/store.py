"""This installation, as its one row; and what is compared and cancelled when it goes on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.installation import Installation, InstallationState, PauseCause
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import Lifecycle
from slipway.inventory.decision import Write
from slipway.inventory.tables import ACTIVE, clusters, containers, installation, jobs, outbox

IS_ACTIVE = exists().where(installation.c.state == InstallationState.ACTIVE)
"""Whether jobs may begin; without a row they may not."""
COMMANDS_MAY_LEAVE = "exists (select from installation where state = 'active')"
"""The same for the relay of the outbox."""
_SHOWN = [each for each in installation.c if each.name != "baseline"]


async def installation_row(tx: AsyncConnection, *, for_update: bool = False) -> Row[Any]:
    """Return the row."""
    query = select(installation)
    return (await tx.execute(query.with_for_update() if for_update else query)).one()


async def read_installation(tx: AsyncConnection) -> Installation:
    """Return this installation."""
    return installation_of((await tx.execute(select(*_SHOWN))).one())


def installation_of(row: Row[Any]) -> Installation:
    """Return an installation by its row."""
    return Installation.model_validate({each.name: getattr(row, each.name) for each in _SHOWN})


async def living(tx: AsyncConnection) -> Sequence[Row[Any]]:
    """Return all containers that are not deleted, with their cluster's name, in its order."""
    query: Select[Any] = select(containers, clusters.c.name.label("cluster")).join(clusters)
    alive = (containers.c.lifecycle != Lifecycle.DELETED, clusters.c.removed_at.is_(None))
    rows: Sequence[Row[Any]] = (
        await tx.execute(query.where(*alive).order_by(clusters.c.name, containers.c.vmid))
    ).all()
    return rows


async def present_clusters(tx: AsyncConnection) -> Sequence[Row[Any]]:
    """Return id and name of each cluster."""
    query: Select[Any] = select(clusters.c.id, clusters.c.name).where(clusters.c.removed_at.is_(None))
    rows: Sequence[Row[Any]] = (await tx.execute(query.order_by(clusters.c.name))).all()
    return rows


async def unended_jobs(tx: AsyncConnection) -> Sequence[Row[Any]]:
    """Return the jobs that have not ended, the oldest first; a batch ends with its own."""
    query = select(jobs, containers.c.hostname, containers.c.vmid, clusters.c.name.label("cluster"))
    query = query.outerjoin(containers, containers.c.id == jobs.c.container_id)
    query = query.outerjoin(clusters, clusters.c.id == jobs.c.cluster_id)
    unended = (jobs.c.state.in_(ACTIVE), jobs.c.kind != JobKind.BATCH)
    return (await tx.execute(query.where(*unended).order_by(jobs.c.id))).all()


async def baseline(tx: AsyncConnection) -> dict[str, Any]:
    """Return how containers stand now, to be compared with later."""
    rows = await living(tx)
    names = ("node", "power", "warnings")
    return {row.id: {name: getattr(row, name) for name in names} for row in rows}


def pause(*, cause: PauseCause, reason: str, at: datetime, baseline: dict[str, Any], **more: object) -> Write:
    """Return the change that pauses this installation."""
    values = {"cause": cause, "reason": reason, "since": at, "baseline": baseline, **more}
    return Write(statement=update(installation).values(state=InstallationState.PAUSED, **values))


def say_more(reason: str) -> Write:
    """Return the change of a paused installation's reason."""
    return Write(statement=update(installation).values(reason=reason))


def resume(at: datetime) -> Write:
    """Return the change that lets it act again."""
    nothing = {"cause": None, "reason": None, "baseline": None}
    return Write(statement=update(installation).values(state=InstallationState.ACTIVE, since=at, **nothing))


def drop_commands() -> Write:
    """Return the removal of commands that have not left."""
    return Write(statement=delete(outbox).where(outbox.c.subject.startswith("slipway.v1.command.")))
