"""Retries: the command that does a failed or cancelled job again, its container taken back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import RetryJob, RunJob, RunRecord, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.claims import claim_names, claim_vmids, refuse_busy, refuse_vmid_in_use
from slipway.inventory.containers.lifecycle import Trigger, first_step, refuse_unless_it_lives
from slipway.inventory.containers.store import container_row, target_of, update_container
from slipway.inventory.containers.use_cases import move
from slipway.inventory.decision import Decision, Write
from slipway.inventory.jobs.downloads import decide_download
from slipway.inventory.jobs.enqueuer import accepted
from slipway.inventory.jobs.store import job_row
from slipway.runtime.process.ids import new_id


class NotRetryable(Conflict):
    """Only a failed or cancelled job can be done again."""

    code = "job.not-retryable"


Chosen = set[tuple[Id, int]]
"""VMIDs, each with its cluster, that earlier retries of the same decision take: no row holds them yet."""


async def decide_retry(
    tx: AsyncConnection, request: RetryJob, chosen: Chosen | None = None
) -> Decision[Accepted]:
    """Do a failed or cancelled job again: the same input, from the step that failed.

    Args:
        tx: the transaction.
        request: names the job.
        chosen: gets the VMID that is taken.

    Raises:
        NotRetryable: if the job is neither failed nor cancelled, or a batch.
        JobActive: if another job works on the container.
    """
    job = request.job
    old = await job_row(tx, job)
    if old.kind == JobKind.BATCH:
        raise NotRetryable(f"Job {job} is a batch; it is done again as a whole.")
    if old.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise NotRetryable(f"Job {job} is {old.state}; only a failed or cancelled one can.")
    before = RunJob.model_validate(old.command)
    if not before.kind.has_container:
        return await decide_download(tx, before, retry_of=old.id)
    row = await container_row(tx, old.container_id, for_update=True)
    refuse_below(row.cluster_tier, JobKind(old.kind), cluster=row.cluster)
    await refuse_busy(tx, row.id)
    if before.kind.creates_container and old.is_outdated:
        # A deletion removed the secrets; a later job of the container has the newer step to begin with.
        raise NotRetryable(
            f"Job {job} is not the last of its container: it was done again, or its container was deleted."
        )
    record = RunRecord.model_validate(old.record) if old.record else None
    is_gone = row.lifecycle == Lifecycle.DELETED and row.forgotten_as is None
    source = await _source_of(tx, before, record)
    place: dict[str, Any] = {}
    if source is not None and is_gone and "target_node" not in before.args.values():
        place["node"] = source.node
    writes = await _reclaim(tx, row, before, place, set() if chosen is None else chosen)
    changes = {
        "job": new_id(),
        "target": target_of(row).model_copy(update=place),
        "source": source,
        "retry_of": old.id,
        "first_step": None if is_gone else first_step(record, request.phase, before.first_step),
    }
    command = before.model_copy(update=changes)
    return Decision(reply=accepted(command), writes=writes, commands=[command])


async def _source_of(tx: AsyncConnection, command: RunJob, record: RunRecord | None) -> Target | None:
    """Return what is copied as it is now; it has to live as long as there is no copy."""
    if command.source is None:
        return None
    row = await container_row(tx, command.source.container, for_update=True)
    if record is None or not record.exists_on_host:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), command.kind)
    await refuse_busy(tx, row.id, command.kind)
    return target_of(row)


async def _reclaim(
    tx: AsyncConnection, row: Row[Any], command: RunJob, place: dict[str, Any], chosen: Chosen
) -> Sequence[Write]:
    """Return what takes a container back into the state in which the job works on it.

    One that is gone claims its name and its VMID again, or a new VMID, which is added to `place`.
    """
    if not command.kind.creates_container and command.kind is not JobKind.DELETE:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), command.kind)
        if isinstance(command.args, ConfigureArgs) and command.args.hostname is not None:
            await claim_names(tx, row.cluster_id, [command.args.hostname], besides=[row.id])
        return ()
    trigger = Trigger.DELETION_ACCEPTED if command.kind is JobKind.DELETE else Trigger.RETRY_ACCEPTED
    moves = move(row, trigger)
    if row.lifecycle == Lifecycle.DELETED:
        await claim_names(tx, row.cluster_id, [row.hostname], besides=[row.id])
        others = {vmid for cluster, vmid in chosen if cluster == row.cluster_id}
        if row.vmid_is_provisional:
            (place["vmid"],) = await claim_vmids(tx, row.cluster_id, [None], refused=others)
        else:
            await refuse_vmid_in_use(tx, row.cluster_id, row.vmid, besides=row.id, chosen=others)
        chosen.add((row.cluster_id, place.get("vmid", row.vmid)))
    return [update_container(row.id, **place), moves] if place else [moves]
