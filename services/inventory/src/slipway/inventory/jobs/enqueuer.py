"""Writes jobs that were accepted: rows, facts for the bus, audit; each command follows in its turn."""

from collections.abc import Callable, Sequence

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted, ContainerRef, JobRef
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import CancelJob, JobAccepted, RunJob, RunRecord, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, TooLarge
from slipway.contracts.values import JobState
from slipway.inventory import audit
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.tables import jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

WAYS_OUT = frozenset(
    {JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.RESTART, JobKind.SNAPSHOT_DELETE, JobKind.DELETE}
)
"""Kinds that are accepted also while the bus is almost full: they end things, or write next to nothing."""
LARGEST_BYTES = 64 * 1024
"""Of a command, as of every message: what is larger goes another way than the bus."""


class JobTooLarge(TooLarge):
    """All that a job is told does not fit into one message."""

    code = "job.too-large"


class JobEnqueuer:
    """Takes jobs in."""

    def __init__(self, queue: Queue, refuse_new_work: Callable[[], None] = lambda: None) -> None:
        """Take what raises while nothing new may be accepted."""
        self._queue = queue
        self._refuse_new_work = refuse_new_work

    async def enqueue(self, connection: AsyncConnection, call: Call, command: RunJob) -> Accepted:
        """Write the job and leave its fact for the bus; its command follows when its node may begin it."""
        target = command.target
        await self.enqueue_all(connection, call, [command])
        return Accepted(
            job=JobRef(id=command.job),
            container=ContainerRef(
                id=target.container,
                vmid=target.vmid,
                hostname=target.hostname,
                is_provisional=target.vmid_is_provisional,
            ),
        )

    async def enqueue_all(
        self, connection: AsyncConnection, call: Call, commands: Sequence[RunJob], *, parent: Id | None = None
    ) -> None:
        """Write jobs, of one batch or alone, and leave their facts for the bus.

        Raises:
            JobTooLarge: if one of them could not leave for the bus in its turn.
        """
        if not commands:
            return
        if not WAYS_OUT.issuperset(each.kind for each in commands):
            self._refuse_new_work()
        for command in commands:
            refuse_too_large(command)
        await connection.execute(insert(jobs), [_row(command, call, parent) for command in commands])
        await outbox.add_all(connection, [_fact(command, call) for command in commands])
        for cluster, node in sorted({(each.target.cluster, each.target.node) for each in commands}):
            await self._queue.release(connection, cluster, node)
        told = [
            ("job.retry" if each.retry_of else str(each.kind), each.target.container, {"job": each.job})
            for each in commands
        ]
        await audit.note_all(connection, call, "accepted", told)

    async def enqueue_cancel(
        self, connection: AsyncConnection, call: Call, order: CancelJob, record: RunRecord | None
    ) -> None:
        """Leave the order that ends a job for the bus; a job that waits never begins.

        Args:
            connection: of the transaction.
            call: who asks.
            order: says which job.
            record: where its run stands, if it has begun.
        """
        del record
        unreleased = jobs.c.id == order.job, jobs.c.released_at.is_(None)
        await connection.execute(update(jobs).where(*unreleased).values(released_at=now()))
        await outbox.add(connection, order, message_id=f"job:{order.job}:cancel:{new_id()}")
        act = "job.cancel-and-destroy" if order.remove_on_cancel else "job.cancel"
        await audit.note(connection, call, act, order.target.container, "accepted", job=order.job)


class Planned(Exception):
    """A job would be taken in; raised so that the transaction in which it was accepted is rolled back."""

    def __init__(self, command: RunJob, *others: RunJob) -> None:
        super().__init__(command.job)
        self.command = command
        self.others = others
        """More like it, of the same batch."""


class CancelPlanned(Exception):
    """A job would be told to end; raised like `Planned`."""

    def __init__(self, order: CancelJob, record: RunRecord | None) -> None:
        super().__init__(order.job)
        self.order = order
        self.record = record


class PlanningEnqueuer(JobEnqueuer):
    """Takes nothing in: tells what it would be."""

    async def enqueue(self, connection: AsyncConnection, call: Call, command: RunJob) -> Accepted:
        """Raise `Planned`."""
        del connection, call
        refuse_too_large(command)
        raise Planned(command)

    async def enqueue_all(
        self, connection: AsyncConnection, call: Call, commands: Sequence[RunJob], *, parent: Id | None = None
    ) -> None:
        """Raise `Planned` for the first of a batch's."""
        del connection, call, parent
        if commands:
            raise Planned(*commands)

    async def enqueue_cancel(
        self, connection: AsyncConnection, call: Call, order: CancelJob, record: RunRecord | None
    ) -> None:
        """Raise `CancelPlanned`."""
        del connection, call
        raise CancelPlanned(order, record)


def refuse_too_large(command: RunJob) -> None:
    """Raise `JobTooLarge`, which names what is largest, unless a command fits into a message."""
    size = len(command.model_dump_json().encode())
    if size <= LARGEST_BYTES:
        return
    told = command.model_dump(mode="json")
    parts = told["spec"] | {f"args.{name}": value for name, value in told["args"].items()}
    field = max(parts, key=lambda name: len(str(parts[name])))
    message = (
        f"All that this job is told takes {size >> 10} KiB, and {LARGEST_BYTES >> 10} KiB is the most; "
        f"most of it is in {field}."
    )
    raise JobTooLarge(message, errors=[FieldError(field=field, message=message)])


def cancel_order(command: RunJob, target: Target, *, remove_on_cancel: bool = False) -> CancelJob:
    """Give the order that ends a job, whether it waits or runs."""
    return CancelJob(
        job=command.job,
        kind=command.kind,
        target=target,
        remove_on_cancel=remove_on_cancel,
        exists_on_host=command.finds_container,
    )


def _row(command: RunJob, call: Call, parent: Id | None) -> dict[str, object]:
    return {
        "id": command.job,
        "kind": command.kind,
        "container_id": command.target.container,
        "cluster_id": command.target.cluster,
        "node": command.target.node,
        "parent_id": parent,
        "source_id": command.source.container if command.source else None,
        "new_hostname": command.args.hostname if isinstance(command.args, ConfigureArgs) else None,
        "state": JobState.QUEUED,
        "percent": 0,
        "actor": call.actor,
        "command": command.model_dump(mode="json"),
        "retry_of": command.retry_of,
        "record_sequence": 0,
        "created_at": now(),
    }


def _fact(command: RunJob, call: Call) -> outbox.Outgoing:
    target = command.target
    told = JobAccepted(
        id=command.job,
        kind=command.kind,
        container=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        actor=call.actor,
        at=now(),
    )
    first = f"job:{command.job}:accepted"
    return outbox.Outgoing(message=told, message_id=first, expect_last_subject_sequence=0)
