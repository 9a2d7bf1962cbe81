"""What becomes of a container by the records of its jobs: its row, and the facts that tell of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import (
    ContainerChanged,
    ContainerDeleted,
    ContainerFailed,
    ContainerReady,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, RunRecord
from slipway.contracts.message import Event
from slipway.contracts.values import (
    AFTER_RESTART,
    CONFIG_UNREAD,
    DISCOVERY_PENDING,
    JobState,
    Lifecycle,
    Phase,
    Power,
)
from slipway.inventory.containers.config_store import applied
from slipway.inventory.containers.lifecycle import (
    LOST,
    TRANSITIONS,
    Trigger,
    outcome,
    power_after,
    restore_outcome,
)
from slipway.inventory.tables import containers, credentials
from slipway.runtime.database import outbox
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()


async def move_container(connection: AsyncConnection, record: RunRecord, command: RunJob) -> None:
    """Keep what a job's newest record means for its container."""
    changes: dict[str, object] = {}
    # While it is being created it may exist, or someone else may still get the VMID.
    is_made = record.state.is_terminal or record.phase not in {None, Phase.CREATE}
    if record.exists_on_host and record.kind.creates_container and is_made:
        changes["vmid_is_provisional"] = False
    if record.state.is_terminal:
        row = (
            await connection.execute(
                select(containers).where(containers.c.id == record.target.container).with_for_update()
            )
        ).one()
        changes |= await _end(connection, row, record, command)
        if changes.get("lifecycle") is not Lifecycle.DELETED:
            changes |= await _config(connection, row, record, changes)
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


async def _config(
    connection: AsyncConnection, row: Row[Any], record: RunRecord, changes: Mapping[str, object]
) -> dict[str, object]:
    """Give what a job's end says of the container's config and power; what was not read back is owed."""
    warnings = [str(each) for each in changes.get("warnings", row.warnings)]  # type: ignore[attr-defined]  # a list
    if record.config is not None:
        return await applied(connection, row, record.config, record.target, warnings)
    power = await _power(connection, row, record)
    if not record.steps or not record.exists_on_host or CONFIG_UNREAD in warnings:
        return power
    return {**power, "warnings": [*warnings, CONFIG_UNREAD]}


async def _end(
    connection: AsyncConnection, row: Row[Any], record: RunRecord, command: RunJob
) -> dict[str, object]:
    """Tell what a job's end means for its container, and give what changes in its row."""
    if not record.kind.creates_container and record.kind is not JobKind.DELETE:
        changes = _changed(row, record, command)
        warnings = [str(each) for each in changes.get("warnings", row.warnings)]  # type: ignore[attr-defined]  # a list
        return changes | await _restored(connection, row, record, warnings)
    trigger = outcome(record, Lifecycle(row.deleting_as) if row.deleting_as else None)
    following = TRANSITIONS.get((Lifecycle(row.lifecycle), trigger))
    if following is None:
        log.warning("job ended on a container that moved on", job=record.id, state=row.lifecycle)
        return {}
    if record.kind is JobKind.DELETE and following is Lifecycle.DELETED:
        await connection.execute(delete(credentials).where(credentials.c.container_id == row.id))
    await outbox.add(connection, _ending(row, record, following), message_id=f"job:{record.id}:ended")
    ended = {"lifecycle": following, "deleting_as": None, "updated_at": now()}
    return ended | {"warnings": _lasting(record)}


def _changed(row: Row[Any], record: RunRecord, command: RunJob) -> dict[str, object]:
    """Give what a job that leaves the container's life as it is changes in its row.

    Also one that failed late may have moved it; others may move it meanwhile.
    """
    changes: dict[str, object] = {"updated_at": now()} if record.state is JobState.SUCCEEDED else {}
    if record.target.node != command.target.node:
        changes |= {"node": record.target.node, "node_at": record.finished_at}
    if DISCOVERY_PENDING in record.warnings:
        # What was there before is not known to be there now.
        left = [each for each in row.warnings if each != DISCOVERY_PENDING]
        changes |= {"warnings": [*left, DISCOVERY_PENDING], "address": None}
    return changes


async def _restored(
    connection: AsyncConnection, row: Row[Any], record: RunRecord, warnings: Sequence[str]
) -> dict[str, object]:
    """Give what a restore means for a container's life, and tell it if it changed."""
    trigger = restore_outcome(record)
    following = TRANSITIONS.get((Lifecycle(row.lifecycle), trigger)) if trigger is not None else None
    if following is None:
        return {}
    others = [warning for warning in warnings if warning != LOST]
    if following != row.lifecycle:
        told = _ending(row, record, following)
        await outbox.add(connection, told, message_id=f"job:{record.id}:ended")
    restored = {"lifecycle": following, "updated_at": now()}
    if trigger is not Trigger.RESTORE_LOST_IT:
        return restored | {"warnings": others}
    # Nothing of it is there: neither power nor address are what they were.
    gone: dict[str, object] = {
        "power": Power.UNKNOWN,
        "observed_at": record.finished_at,
        "address": None,
        "pending": {},
    }
    return restored | gone | {"warnings": [*others, LOST]}


def _lasting(record: RunRecord) -> list[str]:
    """Give a job's warnings that are its container's as well."""
    return [each for each in record.warnings if not each.startswith(AFTER_RESTART)]


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
