"""Jobs on containers: requests are checked (`JobRequests`), then decided on in a transaction (`decide_*`)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted, Container, DeleteContainer
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import (
    CancelJob,
    ReplacedVmid,
    RequestCancel,
    RequestJob,
    RetryJob,
    RunJob,
    RunRecord,
)
from slipway.contracts.message import Id
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.claims import claim_names, claim_vmids, lock_names, refuse_busy
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.lifecycle import (
    LOST,
    refuse_cancel,
    refuse_ended,
    refuse_to_destroy,
    refuse_unless_it_lives,
)
from slipway.inventory.containers.store import (
    ContainerStore,
    Secret,
    container_row,
    target_of,
    update_container,
)
from slipway.inventory.containers.use_cases import decide_deletion
from slipway.inventory.decision import AuditNote, Claim, Decision, Gone, Proposal, Write
from slipway.inventory.jobs import validation
from slipway.inventory.jobs.clone import decide_clone
from slipway.inventory.jobs.enqueuer import accepted, command_on
from slipway.inventory.jobs.queue import cancel_order
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.retry import decide_retry
from slipway.inventory.jobs.store import job_row
from slipway.inventory.jobs.views import JobViews
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.tables import jobs, vmid_replacements
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The order that ends a job, and where its run stands if it has begun."""

    order: CancelJob
    record: RunRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequests:
    """Checks requests for jobs."""

    clusters: ClusterStore
    containers: ContainerStore
    jobs: JobViews
    records: Records
    host_check: HostCheck
    secret_broker: SecretBroker

    async def propose(self, request: RequestJob) -> Proposal[Accepted]:
        """Return a job that was checked."""
        validation.check(request.kind, request.args)
        container = await self.containers.get(request.container)
        await self._check(request, container)
        args = request.args.values()
        hostname, vmid = args.get("hostname"), args.get("vmid")
        claim = Claim(cluster=container.cluster_id, hostname=hostname, vmid=vmid) if hostname else None
        if request.kind is not JobKind.CLONE:
            return Proposal(decide=lambda tx, gone: decide_request(tx, request, gone), claim=claim)
        copy = new_id()
        secrets = await self._copied_secrets(container.id, copy)
        return Proposal(decide=lambda tx, gone: decide_clone(tx, request, copy, secrets, gone), claim=claim)

    async def propose_deletion(self, request: DeleteContainer) -> Proposal[Accepted]:
        """Return the deletion of a container that Proxmox does not protect."""
        await self.host_check.refuse_deletion(await self.containers.get(request.container))
        return Proposal(decide=lambda tx, _gone: decide_deletion(tx, request))

    async def propose_cancel(self, request: RequestCancel) -> Proposal[Cancellation]:
        """Return the cancel of a job, whose record was read."""
        await self.records.catch_up(request.job)
        return Proposal(decide=lambda tx, _gone: decide_cancel(tx, request))

    async def propose_retry(self, request: RetryJob) -> Proposal[Accepted]:
        """Return the retry of a job, whose record was read."""
        await self.records.catch_up(request.job)
        return Proposal(decide=lambda tx, _gone: decide_retry(tx, request))

    async def _check(self, request: RequestJob, container: Container) -> None:
        """Refuse what the container, its node or its host can't have, as far as it is known."""
        await self.host_check.refuse_impossible(container, request.kind, request.args)
        if not validation.looks_at_container(request.args):
            return
        facts = validation.ContainerFacts(
            spec=container.spec, vmid=container.vmid, hostname=container.hostname, node=container.node
        )
        if validation.looks_at_nodes(request.args) or validation.looks_at_limits(request.args):
            cluster = await self.clusters.stored(container.cluster_id)
            facts = replace(
                facts,
                nodes=cluster.nodes,
                in_maintenance=cluster.in_maintenance,
                limits=cluster.limits,
            )
        validation.check_against(request.kind, request.args, facts)

    async def _copied_secrets(self, source: Id, copy: Id) -> Mapping[str, Secret]:
        """Seal a container's secrets for its copy: a copy has the same passwords inside."""
        move = self.secret_broker.move
        return {
            name: Secret(
                origin=each.origin, sealed=move(each.sealed, owner=source, to_owner=copy, field=name)
            )
            for name, each in (await self.containers.secrets(source)).items()
        }


async def decide_request(tx: AsyncConnection, request: RequestJob, gone: Gone) -> Decision[Accepted]:
    """Do something with a container that exists."""
    row = await container_row(tx, request.container, for_update=True)
    refuse_below(row.cluster_tier, request.kind, cluster=row.cluster)
    await refuse_busy(tx, row.id, request.kind)
    refuse_unless_it_lives(Lifecycle(row.lifecycle), request.kind)
    hostname = request.args.values().get("hostname")
    if hostname is not None:
        besides = [row.id, *gone.containers]
        await claim_names(tx, row.cluster_id, [hostname], besides=besides)
    ran_before = LOST in row.warnings and await _ran(tx, row.id)
    command = command_on(row, request, ran_before=ran_before)
    return Decision(reply=accepted(command), commands=[command])


async def decide_cancel(tx: AsyncConnection, request: RequestCancel) -> Decision[Cancellation]:
    """Cancel a job: one that waits never begins, one that runs is ordered to end."""
    row = await job_row(tx, request.job)
    refuse_to_destroy(JobKind(row.kind), is_requested=request.remove_on_cancel)
    record = RunRecord.model_validate(row.record) if row.record else None
    refuse_cancel(JobState(row.state), record)
    command = RunJob.model_validate(row.command)
    if command.kind.has_container:
        target = target_of(await container_row(tx, row.container_id))
        command = command.model_copy(update={"target": target})
    order = cancel_order(command, remove_on_cancel=request.remove_on_cancel)
    unreleased = (jobs.c.id == order.job, jobs.c.released_at.is_(None))
    action = "job.cancel-and-destroy" if order.remove_on_cancel else "job.cancel"
    target_id = order.target.container
    note = AuditNote(action=action, target=target_id, outcome="accepted", details={"job": order.job})
    return Decision(
        reply=Cancellation(order, record),
        writes=[Write(statement=update(jobs).where(*unreleased).values(released_at=now()))],
        events=[Outgoing(message=order, message_id=f"job:{order.job}:cancel:{new_id()}")],
        audit=[note],
    )


async def decide_vmid(tx: AsyncConnection, job: Id, refused: int) -> Decision[ReplacedVmid]:
    """Replace a job's VMID; asked again for the same refused one, return the same answer."""
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
    await lock_names(tx, row.cluster_id)
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
