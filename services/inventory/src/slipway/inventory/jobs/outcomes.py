"""Applies the records of jobs to their containers: changes of the rows, and the events about them."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_events import (
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
    STILL_STARTING,
    JobState,
    Lifecycle,
    Power,
)
from slipway.inventory.batches.items import decide_item
from slipway.inventory.batches.store import lock_batch_of
from slipway.inventory.containers.configs import is_newer
from slipway.inventory.containers.lifecycle import (
    LOST,
    TRANSITIONS,
    Trigger,
    outcome,
    power_after,
    restore_outcome,
)
from slipway.inventory.containers.store import delete_credentials, update_container
from slipway.inventory.containers.use_cases import applied
from slipway.inventory.decision import Decision, Write
from slipway.inventory.jobs.store import exists_for_sure, store_record
from slipway.inventory.tables import containers, jobs
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()


async def decide_record(tx: AsyncConnection, record: RunRecord, sequence: int) -> Decision[None]:
    """Store where a run stands. Idempotent: a row takes a record only with a higher sequence."""
    job = await _locked(tx, record)
    if job is None:
        log.warning("run record without a job", job=record.id)
        return Decision(reply=None)
    if job.record_sequence >= sequence:
        return Decision(reply=None)
    writes, events = [store_record(record, sequence)], list[Outgoing]()
    if record.kind.has_container:
        outcome = await _outcome(tx, record, RunJob.model_validate(job.command))
        writes, events = [*writes, *outcome.writes], outcome.events
    if job.parent_id is not None and job.state != record.state:
        item = await decide_item(tx, job.parent_id, record)
        writes, events = [*writes, *item.writes], [*events, *item.events]
    released = [(job.cluster_id, job.node)] if record.state.is_terminal else []
    return Decision(reply=None, writes=writes, events=events, released=released)


async def _locked(tx: AsyncConnection, record: RunRecord) -> Row[Any] | None:
    """Return a job's row, locked; before one that moves its batch the batch is locked."""
    own = select(jobs).where(jobs.c.id == record.id).with_for_update()
    alone = own.where(or_(jobs.c.parent_id.is_(None), jobs.c.state == record.state))
    job: Row[Any] | None = (await tx.execute(alone)).first()
    if job is None:
        await lock_batch_of(tx, record.id)
        job = (await tx.execute(own)).first()
    return job


@dataclass(slots=True)
class _Outcome:
    """The changes of a container by a job's record."""

    row: Row[Any]
    record: RunRecord
    changes: dict[str, Any] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    events: list[Outgoing] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """The container's warnings by now."""
        return list(self.changes.get("warnings", self.row.warnings))

    def publish(self, event: Event, name: str) -> None:
        """Publish an event about the container."""
        self.events.append(Outgoing(message=event, message_id=f"job:{self.record.id}:{name}"))


async def _outcome(tx: AsyncConnection, record: RunRecord, command: RunJob) -> _Outcome:
    query = select(containers).where(containers.c.id == record.target.container)
    query = query.with_for_update() if record.state.is_terminal else query
    result = _Outcome((await tx.execute(query)).one(), record)
    if exists_for_sure(record):
        result.changes["vmid_is_provisional"] = False
    if record.state.is_terminal:
        _end(result, command)
        if result.changes.get("lifecycle") is not Lifecycle.DELETED:
            await _read_back(tx, result)
    if result.changes:
        result.writes.append(update_container(record.target.container, **result.changes))
    return result


def _end(result: _Outcome, command: RunJob) -> None:
    """Change a container's row by the end of a job."""
    row, record = result.row, result.record
    if not record.kind.creates_container and record.kind is not JobKind.DELETE:
        _change(result, command)
        _restore(result)
        return
    trigger = outcome(record, Lifecycle(row.deleting_as) if row.deleting_as else None)
    following = TRANSITIONS.get((Lifecycle(row.lifecycle), trigger))
    if following is None:
        log.warning("job ended on a container that moved on", job=record.id, state=row.lifecycle)
        return
    if record.kind is JobKind.DELETE and following is Lifecycle.DELETED:
        result.writes.append(delete_credentials(row.id))
    result.publish(_ending(row, record, following), "ended")
    result.changes |= {"lifecycle": following, "deleting_as": None, "updated_at": now()}
    # Warnings that hold only until the next restart, or until its boot ended, are the job's alone.
    has_settled = following is Lifecycle.READY and DISCOVERY_PENDING not in record.warnings
    over = (AFTER_RESTART, STILL_STARTING) if has_settled else (AFTER_RESTART,)
    result.changes["warnings"] = [each for each in record.warnings if not each.startswith(over)]


def _change(result: _Outcome, command: RunJob) -> None:
    """Apply the end of a job that leaves the container's life as it is.

    A migration that failed late may have moved it nevertheless, and others may move it meanwhile.
    """
    record = result.record
    if record.state is JobState.SUCCEEDED:
        result.changes["updated_at"] = now()
    if record.target.node != command.target.node:
        result.changes |= {"node": record.target.node, "node_at": record.finished_at}
    if DISCOVERY_PENDING in record.warnings:
        # The address may be another one now.
        others = [each for each in result.warnings if each != DISCOVERY_PENDING]
        result.changes |= {"warnings": [*others, DISCOVERY_PENDING], "address": None}


def _restore(result: _Outcome) -> None:
    """Apply the end of a restore to the container's life."""
    row, record = result.row, result.record
    trigger = restore_outcome(record)
    following = TRANSITIONS.get((Lifecycle(row.lifecycle), trigger)) if trigger is not None else None
    if following is None:
        return
    others = [warning for warning in result.warnings if warning != LOST]
    if following != row.lifecycle:
        result.publish(_ending(row, record, following), "ended")
    result.changes |= {"lifecycle": following, "updated_at": now(), "warnings": others}
    if trigger is Trigger.RESTORE_LOST_IT:
        # Nothing of it is on the host: power and address are void.
        gone: dict[str, object] = {
            "power": Power.UNKNOWN,
            "observed_at": record.finished_at,
            "address": None,
            "pending": {},
        }
        result.changes |= {**gone, "warnings": [*others, LOST]}


async def _read_back(tx: AsyncConnection, result: _Outcome) -> None:
    """Apply config and power as they were read back; a config that could not be read becomes a warning."""
    row, record, warnings = result.row, result.record, result.warnings
    if record.config is not None:
        change = await applied(tx, row, record.config, record.target, warnings)
        result.changes |= change.values
        result.events += change.events
        return
    power, at = power_after(record.kind, record.state), record.finished_at
    if power is not None and at is not None and is_newer(at, Power(row.power), row.observed_at):
        result.changes |= {"power": power, "observed_at": at}
        if row.power != power:
            result.publish(ContainerChanged(id=row.id, power=power, observed_at=at), "power")
    if record.steps and record.exists_on_host and CONFIG_UNREAD not in warnings:
        result.changes["warnings"] = [*warnings, CONFIG_UNREAD]


def _ending(row: Row[Any], record: RunRecord, lifecycle: Lifecycle) -> Event:
    target = record.target
    names: dict[str, Any] = {
        "id": target.container,
        "vmid": target.vmid,
        "hostname": target.hostname,
        "cluster": target.cluster,
    }
    if record.kind is JobKind.DELETE:
        if lifecycle is Lifecycle.DELETED:
            return ContainerDeleted(**names)
        at = row.observed_at or record.finished_at or now()
        return ContainerChanged(id=row.id, power=row.power, observed_at=at)
    if lifecycle is Lifecycle.READY:
        return ContainerReady(**names)
    return ContainerFailed(**names, code=record.error.code if record.error else str(record.state))
