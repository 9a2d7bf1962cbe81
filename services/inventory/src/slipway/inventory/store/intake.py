"""Writes a job that was accepted: row, fact for the bus, audit entry; its command follows in its turn."""

from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted, ContainerRef, JobRef
from slipway.contracts.jobs import JobAccepted, RunJob, Target
from slipway.contracts.values import JobState
from slipway.inventory.store import audit
from slipway.inventory.store.queue import Queue
from slipway.inventory.tables import clusters, jobs
from slipway.runtime import outbox
from slipway.runtime.call import Call
from slipway.runtime.clock import now


class Intake:
    """Takes jobs in."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def take_in(self, connection: AsyncConnection, call: Call, command: RunJob) -> Accepted:
        """Write the job and leave its fact for the bus; its command follows when its node may begin it."""
        at, target = now(), command.target
        await connection.execute(
            insert(jobs).values(
                id=command.job,
                kind=command.kind,
                container_id=target.container,
                cluster_id=target.cluster,
                node=target.node,
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
        await self._queue.release(connection, target.cluster, target.node)
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


class Planned(Exception):
    """A job would be taken in; raised so that the transaction in which it was accepted is rolled back."""

    def __init__(self, command: RunJob) -> None:
        super().__init__(command.job)
        self.command = command


class PlanningIntake(Intake):
    """Takes no job in: tells which one it would be."""

    async def take_in(self, connection: AsyncConnection, call: Call, command: RunJob) -> Accepted:
        """Raise `Planned`."""
        del connection, call
        raise Planned(command)


async def target_of(connection: AsyncConnection, row: Row[Any]) -> Target:
    """Give what a job works on."""
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
