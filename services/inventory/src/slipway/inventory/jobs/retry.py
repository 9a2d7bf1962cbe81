"""Second tries: the command that does a failed or cancelled job again, its container taken back."""

from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import RunJob, RunRecord, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState, Lifecycle, Phase
from slipway.inventory.containers.claims import move, refuse_busy
from slipway.inventory.containers.lifecycle import Trigger, first_step, refuse_unless_it_lives
from slipway.inventory.containers.names import claim_name
from slipway.inventory.containers.store import container_row, target_of
from slipway.inventory.containers.vmids import free_vmid
from slipway.inventory.jobs.store import job_row
from slipway.inventory.tables import containers
from slipway.runtime.process.ids import new_id


class NotRetryable(Conflict):
    """Only a failed or cancelled job can be done again."""

    code = "job.not-retryable"


async def retry_command(connection: AsyncConnection, job: Id, phase: Phase | None) -> RunJob:
    """Give the command that does a failed or cancelled job again, its container taken back.

    Raises:
        NotRetryable: if it is neither, or a batch.
        JobActive: if another job works on the container.
    """
    old = await job_row(connection, job)
    if old.kind == JobKind.BATCH:
        raise NotRetryable(f"Job {job} is a batch; it is done again as a whole.")
    if old.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise NotRetryable(f"Job {job} is {old.state}; only a failed or cancelled one can.")
    row = await container_row(connection, old.container_id, for_update=True)
    await refuse_busy(connection, row.id)
    before = RunJob.model_validate(old.command)
    if before.kind.creates_container and old.is_outdated:
        # A deletion took the secrets with it; a later try knows better where to go on.
        raise NotRetryable(
            f"Job {job} is not the last of its container: it was done again, or its container was deleted."
        )
    record = RunRecord.model_validate(old.record) if old.record else None
    is_gone = row.lifecycle == Lifecycle.DELETED and row.forgotten_as is None
    source = await _source_of(connection, before, record)
    if source is not None and is_gone and "target_node" not in before.args.values():
        await connection.execute(update(containers).where(containers.c.id == row.id).values(node=source.node))
    changes = {
        "job": new_id(),
        "target": target_of(await _reclaim(connection, row, before)),
        "source": source,
        "retry_of": old.id,
        "first_step": None if is_gone else first_step(record, phase, before.first_step),
    }
    return before.model_copy(update=changes)


async def _source_of(connection: AsyncConnection, command: RunJob, record: RunRecord | None) -> Target | None:
    """Give what is copied as it is now; it has to live as long as there is no copy."""
    if command.source is None:
        return None
    row = await container_row(connection, command.source.container, for_update=True)
    if record is None or not record.exists_on_host:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), command.kind)
    await refuse_busy(connection, row.id, command.kind)
    return target_of(row)


async def _reclaim(connection: AsyncConnection, row: Row[Any], command: RunJob) -> Row[Any]:
    """Take the container back into the state in which the job works on it."""
    if not command.kind.creates_container and command.kind is not JobKind.DELETE:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), command.kind)
        if isinstance(command.args, ConfigureArgs) and command.args.hostname is not None:
            await claim_name(connection, row.cluster_id, command.args.hostname, own=row.id)
        return row
    deletes = command.kind is JobKind.DELETE
    gone = row.lifecycle == Lifecycle.DELETED
    if gone:
        await claim_name(connection, row.cluster_id, row.hostname, own=row.id)
    if gone and row.vmid_is_provisional:
        vmid = await free_vmid(connection, row.cluster_id, None)
        await connection.execute(update(containers).where(containers.c.id == row.id).values(vmid=vmid))
    await move(connection, row, Trigger.DELETION_ACCEPTED if deletes else Trigger.RETRY_ACCEPTED)
    return await container_row(connection, row.id)
