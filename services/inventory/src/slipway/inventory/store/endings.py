"""What becomes of a container by the records of its jobs: its row, and the facts that tell of it."""

from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import (
    ContainerChanged,
    ContainerDeleted,
    ContainerFailed,
    ContainerReady,
    ContainerSpec,
)
from slipway.contracts.jobs import RunJob, RunRecord
from slipway.contracts.message import Event
from slipway.contracts.values import JobKind, JobState, Lifecycle, Phase
from slipway.inventory.domain.lives import TRANSITIONS, outcome, power_after
from slipway.inventory.domain.specs import after_success, with_disks
from slipway.inventory.tables import containers, credentials
from slipway.runtime import outbox
from slipway.runtime.clock import now
from slipway.runtime.logs import get_logger

log = get_logger()

NAME_TAKEN = "hostname-taken"
"""A warning: on its host the container has a new name, which another one of the cluster has here."""


async def move_container(connection: AsyncConnection, record: RunRecord, command: RunJob) -> None:
    """Keep what a job's newest record means for its container."""
    changes: dict[str, object] = {}
    # While it is being created it may exist, or someone else may still get the VMID.
    is_made = record.state.is_terminal or record.phase not in {None, Phase.CREATE}
    if record.exists_on_host and record.kind.makes and is_made:
        changes["vmid_is_provisional"] = False
    if record.state.is_terminal:
        row = (
            await connection.execute(
                select(containers).where(containers.c.id == record.target.container).with_for_update()
            )
        ).one()
        changes |= await _end(connection, row, record, command)
        changes |= await _power(connection, row, record)
    if changes:
        await connection.execute(
            update(containers).where(containers.c.id == record.target.container).values(**changes)
        )


async def _power(connection: AsyncConnection, row: Row[Any], record: RunRecord) -> dict[str, object]:
    """Give the power that a job left its container in, unless something newer was seen."""
    power = power_after(record.kind, record.state)
    at = record.finished_at
    if power is None or at is None or (row.observed_at is not None and row.observed_at >= at):
        return {}
    if row.power != power:
        told = ContainerChanged(id=row.id, power=power, observed_at=at)
        await outbox.add(connection, told, message_id=f"job:{record.id}:power")
    return {"power": power, "observed_at": at}


async def _end(
    connection: AsyncConnection, row: Row[Any], record: RunRecord, command: RunJob
) -> dict[str, object]:
    """Tell what a job's end means for its container, and give what changes in its row."""
    if not record.kind.makes and record.kind is not JobKind.DELETE:
        return await _changed(connection, row, record, command)
    trigger = outcome(record, Lifecycle(row.deleting_as) if row.deleting_as else None)
    following = TRANSITIONS.get((Lifecycle(row.lifecycle), trigger))
    if following is None:
        log.warning("job ended on a container that moved on", job=record.id, state=row.lifecycle)
        return {}
    if record.kind is JobKind.DELETE and following is Lifecycle.DELETED:
        await connection.execute(delete(credentials).where(credentials.c.container_id == row.id))
    await outbox.add(connection, _ending(row, record, following), message_id=f"job:{record.id}:ended")
    changes = {"lifecycle": following, "deleting_as": None, "updated_at": now()}
    return changes | {"warnings": list(record.warnings)}


async def _changed(
    connection: AsyncConnection, row: Row[Any], record: RunRecord, command: RunJob
) -> dict[str, object]:
    """Give what a job that leaves the container's life as it is changes in its row."""
    moved = _moved(record, command)
    if record.state is not JobState.SUCCEEDED:
        if not moved:
            return {}
        there = with_disks(ContainerSpec.model_validate(row.spec), record.disks)
        return {**moved, "spec": there.model_dump(mode="json")}
    spec = after_success(ContainerSpec.model_validate(row.spec), record.kind, command.args)
    spec = with_disks(spec, record.disks)
    warnings = list(row.warnings)
    if spec.hostname != row.hostname and not await _rename(connection, row, spec.hostname):
        log.warning("a container's new name is another's", job=record.id, hostname=spec.hostname)
        spec = spec.model_copy(update={"hostname": row.hostname})
        warnings = [*(each for each in warnings if each != NAME_TAKEN), NAME_TAKEN]
    return {
        "spec": spec.model_dump(mode="json"),
        "warnings": warnings,
        "updated_at": now(),
        **moved,
    }


def _moved(record: RunRecord, command: RunJob) -> dict[str, object]:
    """Give where a job has moved its container: also one that failed late; others may move it meanwhile."""
    if record.target.node == command.target.node:
        return {}
    return {"node": record.target.node, "node_at": record.finished_at}


async def _rename(connection: AsyncConnection, row: Row[Any], hostname: str) -> bool:
    """Give a container the name that its job claimed; whether it could be, whatever was claimed before."""
    renamed = update(containers).where(containers.c.id == row.id).values(hostname=hostname)
    try:
        async with connection.begin_nested():
            await connection.execute(renamed)
    except IntegrityError:
        return False
    return True


def _ending(row: Row[Any], record: RunRecord, lifecycle: Lifecycle) -> Event:
    target = record.target
    told: dict[str, Any] = {
        "id": target.container,
        "vmid": target.vmid,
        "hostname": target.hostname,
        "cluster": target.cluster,
    }
    if record.kind is JobKind.DELETE:
        if lifecycle is Lifecycle.DELETED:
            return ContainerDeleted(**told)
        at = row.observed_at or record.finished_at or now()
        return ContainerChanged(id=row.id, power=row.power, observed_at=at)
    if lifecycle is Lifecycle.READY:
        return ContainerReady(**told)
    return ContainerFailed(**told, code=record.error.code if record.error else str(record.state))
