"""Jobs on containers that exist: requested, cancelled, given another VMID."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted, ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, ReplacedVmid, RequestCancel, RequestJob, RunJob, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.containers.claims import claim_names, claim_vmids, refuse_busy
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.lifecycle import (
    LOST,
    refuse_cancel,
    refuse_ended,
    refuse_to_destroy,
    refuse_unless_it_lives,
)
from slipway.inventory.containers.store import container_row, target_of, update_container
from slipway.inventory.decision import AuditNote, Decision, Gone, Write
from slipway.inventory.jobs.enqueuer import accepted, cancel_order
from slipway.inventory.jobs.store import job_row
from slipway.inventory.tables import jobs, vmid_replacements
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


async def decide_request(tx: AsyncConnection, request: RequestJob, gone: Gone) -> Decision[Accepted]:
    """Do something with a container that exists."""
    row = await container_row(tx, request.container, for_update=True)
    await refuse_busy(tx, row.id, request.kind)
    refuse_unless_it_lives(Lifecycle(row.lifecycle), request.kind)
    hostname = request.args.values().get("hostname")
    if hostname is not None:
        besides = [row.id, *gone.containers]
        await claim_names(tx, row.cluster_id, [hostname], besides=besides)
    command = RunJob(
        job=new_id(),
        kind=request.kind,
        target=target_of(row),
        spec=ContainerSpec.model_validate(row.spec),
        on_failure=request.on_failure,
        args=request.args,
        ran_before=LOST in row.warnings and await _ran(tx, row.id),
    )
    return Decision(reply=accepted(command), commands=[command])


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The order that ends a job, and where its run stands if it has begun."""

    order: CancelJob
    record: RunRecord | None


async def decide_cancel(tx: AsyncConnection, request: RequestCancel) -> Decision[Cancellation]:
    """Cancel a job: one that waits never begins, one that runs is ordered to end."""
    row = await job_row(tx, request.job)
    refuse_to_destroy(JobKind(row.kind), wanted=request.remove_on_cancel)
    record = RunRecord.model_validate(row.record) if row.record else None
    refuse_cancel(JobState(row.state), record)
    target = target_of(await container_row(tx, row.container_id))
    command = RunJob.model_validate(row.command)
    order = cancel_order(command, target, remove_on_cancel=request.remove_on_cancel)
    unreleased = (jobs.c.id == order.job, jobs.c.released_at.is_(None))
    action = "job.cancel-and-destroy" if order.remove_on_cancel else "job.cancel"
    note = AuditNote(action=action, target=target.container, outcome="accepted", details={"job": order.job})
    return Decision(
        reply=Cancellation(order, record),
        writes=[Write(statement=update(jobs).where(*unreleased).values(released_at=now()))],
        events=[Outgoing(message=order, message_id=f"job:{order.job}:cancel:{new_id()}")],
        audit=[note],
    )


async def decide_vmid(tx: AsyncConnection, job: Id, refused: int) -> Decision[ReplacedVmid]:
    """Give a job another VMID; asked again for the same refused one, the same answer."""
    replaced = vmid_replacements.c
    container = (await job_row(tx, job)).container_id
    row = await container_row(tx, container, for_update=True)
    before = {
        each.refused: each.vmid
        for each in await tx.execute(select(vmid_replacements).where(replaced.job_id == job))
    }
    if refused in before:
        return Decision(reply=ReplacedVmid(vmid=before[refused]))
    refuse_ended(JobState((await job_row(tx, job)).state))
    if not row.vmid_is_provisional:
        raise VmidTaken(f"VMID {refused} was requested and is in use; it is not replaced.")
    (vmid,) = await claim_vmids(tx, row.cluster_id, [None], refused={refused, *before})
    replacement = insert(vmid_replacements).values(job_id=job, refused=refused, vmid=vmid)
    return Decision(
        reply=ReplacedVmid(vmid=vmid),
        writes=[Write(statement=replacement), update_container(row.id, vmid=vmid, updated_at=now())],
    )


async def _ran(tx: AsyncConnection, container: Id) -> bool:
    """Return whether a container ran when the restore began that has lost it."""
    restores = (jobs.c.container_id == container, jobs.c.kind == JobKind.RESTORE)
    newest = select(jobs.c.record).where(*restores).order_by(jobs.c.id.desc()).limit(1)
    record = await tx.scalar(newest)
    steps = RunRecord.model_validate(record).steps if record else ()
    return any(step.facts.get("ran") for step in steps)
