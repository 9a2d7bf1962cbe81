"""Accepts work: claims, rows, audit and messages in one transaction, so that what was accepted is safe."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import (
    Accepted,
    ContainerSpec,
    CreateContainer,
    DeleteContainer,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import (
    RequestCancel,
    RequestJob,
    RetryJob,
    RunJob,
    RunRecord,
)
from slipway.contracts.message import Id
from slipway.contracts.values import JobState, Lifecycle, OnFailure
from slipway.inventory import audit
from slipway.inventory.containers.claims import accepting, move, refuse_busy
from slipway.inventory.containers.inserts import Creation, claim
from slipway.inventory.containers.lifecycle import (
    LOST,
    Trigger,
    refuse_cancel,
    refuse_to_destroy,
    refuse_unless_it_lives,
)
from slipway.inventory.containers.names import claim_name
from slipway.inventory.containers.store import container_row, target_of
from slipway.inventory.jobs.enqueuer import JobEnqueuer, cancel_order
from slipway.inventory.jobs.retry import retry_command
from slipway.inventory.jobs.store import job_row
from slipway.inventory.tables import jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id


class AcceptanceStore:
    """Takes jobs in."""

    def __init__(self, database: Database, enqueuer: JobEnqueuer) -> None:
        self._database = database
        self._enqueuer = enqueuer

    async def done_before(
        self, call: Call, action: str, request: CreateContainer | DeleteContainer | RequestJob | RetryJob
    ) -> Accepted | None:
        """Give the reply that the same request under the same key got."""
        async with self._database.begin() as connection:
            return await audit.replayed(connection, call, action, request, Accepted)

    async def create(self, call: Call, request: CreateContainer, creation: Creation) -> Accepted:
        """Accept a creation: name and VMID are claimed from now on.

        Raises:
            HostnameTaken: names the field.
            VmidTaken: if the wanted VMID is in use; names the field.
        """
        async with accepting(self._database, creation.spec.hostname) as connection:
            done = await audit.done_meanwhile(connection, call, "container.create", request, Accepted)
            if done is not None:
                return done
            command = await claim(connection, creation)
            accepted = await self._enqueuer.enqueue(connection, call, command)
            await audit.remember(connection, call, "container.create", request, accepted)
            return accepted

    async def delete(self, call: Call, request: DeleteContainer) -> Accepted:
        """Accept a deletion."""
        async with accepting(self._database) as connection:
            done = await audit.done_meanwhile(connection, call, "container.delete", request, Accepted)
            if done is not None:
                return done
            row = await container_row(connection, request.container, for_update=True)
            cancel = f"to cancel it and remove what it made: DELETE /api/v1/containers/{row.id}?cancel=true"
            is_made = Lifecycle(row.lifecycle) is Lifecycle.CREATING
            hint = cancel if is_made else "wait for its end"
            await refuse_busy(connection, row.id, JobKind.DELETE, hint)
            await move(connection, row, Trigger.DELETION_ACCEPTED)
            command = RunJob(
                job=new_id(),
                kind=JobKind.DELETE,
                target=target_of(row),
                spec=ContainerSpec.model_validate(row.spec),
                on_failure=OnFailure.KEEP,
            )
            accepted = await self._enqueuer.enqueue(connection, call, command)
            await audit.remember(connection, call, "container.delete", request, accepted)
            return accepted

    async def request(self, call: Call, request: RequestJob) -> Accepted:
        """Accept a job on a container that exists."""
        hostname = request.args.values().get("hostname")
        async with accepting(self._database, hostname or "") as connection:
            done = await audit.done_meanwhile(connection, call, str(request.kind), request, Accepted)
            if done is not None:
                return done
            row = await container_row(connection, request.container, for_update=True)
            await refuse_busy(connection, row.id, request.kind)
            refuse_unless_it_lives(Lifecycle(row.lifecycle), request.kind)
            if hostname is not None:
                await claim_name(connection, row.cluster_id, hostname, own=row.id)
            command = RunJob(
                job=new_id(),
                kind=request.kind,
                target=target_of(row),
                spec=ContainerSpec.model_validate(row.spec),
                on_failure=request.on_failure,
                args=request.args,
                ran_before=LOST in row.warnings and await _ran(connection, row.id),
            )
            accepted = await self._enqueuer.enqueue(connection, call, command)
            await audit.remember(connection, call, str(request.kind), request, accepted)
            return accepted

    async def cancel(self, call: Call, request: RequestCancel) -> None:
        """Accept a cancel: a job that waits never begins, one that runs is told to end."""
        async with accepting(self._database) as connection:
            row = await job_row(connection, request.job)
            refuse_to_destroy(JobKind(row.kind), wanted=request.remove_on_cancel)
            record = RunRecord.model_validate(row.record) if row.record else None
            refuse_cancel(JobState(row.state), record)
            target = target_of(await container_row(connection, row.container_id))
            order = cancel_order(
                RunJob.model_validate(row.command), target, remove_on_cancel=request.remove_on_cancel
            )
            await self._enqueuer.enqueue_cancel(connection, call, order, record)

    async def retry(self, call: Call, request: RetryJob) -> Accepted:
        """Accept a failed job's second try: the same input, from the step that failed."""
        async with accepting(self._database) as connection:
            done = await audit.done_meanwhile(connection, call, "job.retry", request, Accepted)
            if done is not None:
                return done
            command = await retry_command(connection, request.job, request.phase)
            accepted = await self._enqueuer.enqueue(connection, call, command)
            await audit.remember(connection, call, "job.retry", request, accepted)
            return accepted


async def _ran(connection: AsyncConnection, container: Id) -> bool:
    """Whether a container ran when the restore began that has lost it."""
    wanted = (jobs.c.container_id == container, jobs.c.kind == JobKind.RESTORE)
    newest = select(jobs.c.record).where(*wanted).order_by(jobs.c.id.desc()).limit(1)
    record = await connection.scalar(newest)
    steps = RunRecord.model_validate(record).steps if record else ()
    return any(step.facts.get("ran") for step in steps)
