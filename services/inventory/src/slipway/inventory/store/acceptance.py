"""Accepts work: claims, rows, audit and messages in one transaction, so that what was accepted is safe."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import (
    Accepted,
    ContainerRef,
    ContainerRegistered,
    ContainerSpec,
    CreateContainer,
    DeleteContainer,
    JobRef,
)
from slipway.contracts.jobs import JobAccepted, RetryJob, RunJob, RunRecord, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, FieldError
from slipway.contracts.values import JobKind, JobState, Lifecycle, OnFailure, Power
from slipway.inventory.domain import (
    IllegalTransition,
    Trigger,
    VmidTaken,
    advance,
    failed_step,
)
from slipway.inventory.store import audit
from slipway.inventory.store.containers import container_row
from slipway.inventory.store.jobs import job_row
from slipway.inventory.store.vmids import free_vmid
from slipway.inventory.tables import clusters, containers, credentials, jobs
from slipway.runtime import outbox
from slipway.runtime.call import Call
from slipway.runtime.clock import now
from slipway.runtime.database import Database
from slipway.runtime.ids import new_id


class HostnameTaken(Conflict):
    """A living container of the cluster has that name."""

    code = "hostname.taken"


class JobActive(Conflict):
    """Another job works on the container."""

    code = "job.active"


class NotRetryable(Conflict):
    """Only a failed or cancelled job can be done again."""

    code = "job.not-retryable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret as its row keeps it."""

    origin: str
    """`root` or `variable`."""
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A creation that was checked and completed."""

    container: Id
    cluster: Id
    cluster_name: str
    spec: ContainerSpec
    template_version: str | None
    bundle: str | None
    secrets: Mapping[str, Secret]
    """Name to secret."""


class AcceptanceStore:
    """Takes jobs in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def done_before(
        self, call: Call, action: str, request: CreateContainer | DeleteContainer | RetryJob
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
        async with self._accepting(creation.spec.hostname) as connection:
            vmid = await free_vmid(connection, creation.cluster, creation.spec.vmid)
            target = Target(
                container=creation.container,
                cluster=creation.cluster,
                cluster_name=creation.cluster_name,
                node=str(creation.spec.node),
                vmid=vmid,
                vmid_is_provisional=creation.spec.vmid is None,
                hostname=creation.spec.hostname,
            )
            await connection.execute(insert(containers).values(_row(creation, target)))
            for name, secret in creation.secrets.items():
                row = {"id": new_id(), "container_id": creation.container, "name": name}
                kept = {"origin": secret.origin, "sealed": secret.sealed}
                await connection.execute(insert(credentials).values(row | kept))
            command = RunJob(
                job=new_id(),
                kind=JobKind.CREATE,
                target=target,
                spec=creation.spec,
                bundle=creation.bundle,
                on_failure=creation.spec.on_failure,
            )
            accepted = await _take_in(connection, call, command)
            await _register(connection, command)
            await audit.remember(connection, call, "container.create", request, accepted)
            return accepted

    async def delete(self, call: Call, request: DeleteContainer) -> Accepted:
        """Accept a deletion."""
        async with self._accepting("") as connection:
            row = await container_row(connection, request.container, for_update=True)
            await _refuse_busy(connection, row.id)
            await _advance(connection, row, Trigger.DELETION_ACCEPTED)
            command = RunJob(
                job=new_id(),
                kind=JobKind.DELETE,
                target=await _target(connection, row),
                spec=ContainerSpec.model_validate(row.spec),
                on_failure=OnFailure.KEEP,
            )
            accepted = await _take_in(connection, call, command)
            await audit.remember(connection, call, "container.delete", request, accepted)
            return accepted

    async def retry(self, call: Call, request: RetryJob) -> Accepted:
        """Accept a failed job's second try: the same input, from the step that failed."""
        async with self._accepting("") as connection:
            old = await job_row(connection, request.job)
            if old.state not in {JobState.FAILED, JobState.CANCELLED}:
                raise NotRetryable(f"Job {request.job} is {old.state}; only a failed or cancelled one can.")
            row = await container_row(connection, old.container_id, for_update=True)
            await _refuse_busy(connection, row.id)
            before = RunJob.model_validate(old.command)
            row = await self._reclaim(connection, row, before)
            record = RunRecord.model_validate(old.record) if old.record else None
            command = before.model_copy(
                update={
                    "job": new_id(),
                    "target": await _target(connection, row),
                    "retry_of": old.id,
                    "first_step": failed_step(record),
                }
            )
            accepted = await _take_in(connection, call, command)
            await audit.remember(connection, call, "job.retry", request, accepted)
            return accepted

    async def _reclaim(self, connection: AsyncConnection, row: Row[Any], command: RunJob) -> Row[Any]:
        """Take the container back into the state in which the job works on it."""
        deletes = command.kind is JobKind.DELETE
        gone = row.lifecycle == Lifecycle.DELETED
        if gone and row.vmid_is_provisional:
            vmid = await free_vmid(connection, row.cluster_id, None)
            await connection.execute(update(containers).where(containers.c.id == row.id).values(vmid=vmid))
        await _advance(connection, row, Trigger.DELETION_ACCEPTED if deletes else Trigger.RETRY_ACCEPTED)
        return await container_row(connection, row.id)

    @asynccontextmanager
    async def _accepting(self, hostname: str) -> AsyncIterator[AsyncConnection]:
        """Open a transaction whose broken claims become errors that say so."""
        try:
            async with self._database.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise _claimed(str(error.orig), hostname) from error


def _row(creation: Creation, target: Target) -> dict[str, object]:
    at = now()
    return {
        "id": creation.container,
        "cluster_id": creation.cluster,
        "node": target.node,
        "hostname": target.hostname,
        "vmid": target.vmid,
        "vmid_is_provisional": target.vmid_is_provisional,
        "template": creation.spec.template,
        "template_version": creation.template_version,
        "bundle": creation.bundle,
        "spec": creation.spec.model_dump(mode="json"),
        "lifecycle": Lifecycle.CREATING,
        "power": Power.UNKNOWN,
        "services": [],
        "warnings": [],
        "created_at": at,
        "updated_at": at,
    }


async def _take_in(connection: AsyncConnection, call: Call, command: RunJob) -> Accepted:
    """Write the job and leave its two messages for the bus, the fact before the command."""
    at, target = now(), command.target
    await connection.execute(
        insert(jobs).values(
            id=command.job,
            kind=command.kind,
            container_id=target.container,
            state=JobState.QUEUED,
            percent=0,
            actor=call.actor,
            command=command.model_dump(mode="json"),
            retry_of=command.retry_of,
            record_sequence=0,
            created_at=at,
        )
    )
    told = JobAccepted(
        id=command.job,
        kind=command.kind,
        container=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        actor=call.actor,
        at=at,
    )
    first = f"job:{command.job}:accepted"
    await outbox.add(connection, told, message_id=first, expect_last_subject_sequence=0)
    await outbox.add(connection, command, message_id=f"job:{command.job}:run")
    action = "job.retry" if command.retry_of else str(command.kind)
    await audit.note(connection, call, action, target.container, "accepted", job=command.job)
    return Accepted(
        job=JobRef(id=command.job),
        container=ContainerRef(
            id=target.container,
            vmid=target.vmid,
            hostname=target.hostname,
            is_provisional=target.vmid_is_provisional,
        ),
    )


async def _register(connection: AsyncConnection, command: RunJob) -> None:
    target = command.target
    registered = ContainerRegistered(
        id=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        cluster=target.cluster,
        job=command.job,
    )
    await outbox.add(connection, registered, message_id=f"container:{target.container}:registered")


async def _target(connection: AsyncConnection, row: Row[Any]) -> Target:
    name = await connection.scalar(select(clusters.c.name).where(clusters.c.id == row.cluster_id))
    return Target(
        container=row.id,
        cluster=row.cluster_id,
        cluster_name=str(name),
        node=row.node,
        vmid=row.vmid,
        vmid_is_provisional=row.vmid_is_provisional,
        hostname=row.hostname,
    )


async def _refuse_busy(connection: AsyncConnection, container: Id) -> None:
    active = await connection.scalar(
        select(jobs.c.id).where(
            jobs.c.container_id == container, jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
        )
    )
    if active is not None:
        raise JobActive(f"Job {active} works on this container; wait for its end.", job=active)


async def _advance(connection: AsyncConnection, row: Row[Any], trigger: Trigger) -> None:
    lifecycle = Lifecycle(row.lifecycle)
    if lifecycle is Lifecycle.DELETED and trigger is Trigger.DELETION_ACCEPTED:
        raise IllegalTransition("The container is deleted already.", state=lifecycle)
    following = advance(lifecycle, trigger)
    await connection.execute(
        update(containers)
        .where(containers.c.id == row.id)
        .values(lifecycle=following, warnings=[], updated_at=now())
    )


def _claimed(said: str, hostname: str) -> Conflict:
    if "claim_hostname" in said:
        message = f"A container {hostname!r} exists in this cluster; choose another name or delete it."
        return HostnameTaken(
            message.replace(" ''", ""), errors=[FieldError(field="hostname", message=message)]
        )
    if "claim_vmid" in said:
        message = "Another container of this cluster has that VMID by now."
        return VmidTaken(message, errors=[FieldError(field="vmid", message=message)])
    return JobActive("Another job was accepted for this container at the same moment; wait for its end.")
