"""Enqueues accepted jobs: rows and facts for the bus; each command follows in its turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, ContainerRef, JobRef
from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.job_events import JobAccepted
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import CancelJob, RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import TooLarge
from slipway.contracts.values import JobState
from slipway.inventory.containers.own_container import refuse_own
from slipway.inventory.containers.store import target_of
from slipway.inventory.decision import Write
from slipway.inventory.faults import at
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.tables import jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

WAYS_OUT = frozenset(
    {JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.RESTART, JobKind.SNAPSHOT_DELETE, JobKind.DELETE}
)
"""Kinds that are accepted also while the bus is almost full: they end things, or write next to nothing."""
LARGEST_BYTES = 64 * 1024
"""Of a command, as of every message: what is larger goes another way than the bus."""


class JobTooLarge(TooLarge):
    """The command of a job does not fit into one message."""

    code = "job.too-large"


@dataclass(frozen=True, slots=True)
class JobEnqueuer:
    """Enqueues jobs."""

    queue: Queue
    refuse_new_work: Callable[[], None] = lambda: None
    """Raises while no new work may be accepted."""
    own_addresses: frozenset[str] = frozenset()
    """MACs of the container that Slipway itself runs in."""

    async def enqueue(
        self, tx: AsyncConnection, call: Call, commands: Sequence[RunJob], *, parent: Id | None = None
    ) -> tuple[Sequence[Write], Sequence[Outgoing]]:
        """Decide which jobs, of one batch or alone, begin at once, and let others begin that may.

        Returns:
            The rows of the jobs; and their facts and the commands of those that begin, for the outbox.

        Raises:
            JobTooLarge: if one of them could not be sent in its turn.
            OwnContainer: if one would end Slipway itself, and the caller has not confirmed that.
        """
        if not commands:
            return (), ()
        if not WAYS_OUT.issuperset(each.kind for each in commands):
            self.refuse_new_work()
        if not call.confirms_self:
            refuse_own(commands, self.own_addresses)
        for command in commands:
            refuse_too_large(command)
        orders: list[Outgoing] = []
        for cluster, node in sorted({(each.target.cluster, each.target.node) for each in commands}):
            here = (each for each in commands if (each.target.cluster, each.target.node) == (cluster, node))
            new = {each.job: each for each in here}
            orders += await self.queue.release(tx, cluster, node, new, actor=call.actor)
        begun = {order.message.job for order in orders if isinstance(order.message, RunJob | CancelJob)}
        rows = [_row(command, call, parent, is_begun=command.job in begun) for command in commands]
        facts = [_fact(command, call) for command in commands]
        return [Write(statement=insert(jobs), rows=rows)], [*facts, *orders]


def accepted(command: RunJob) -> Accepted:
    """Return the reply to a request that became a job."""
    return Accepted(job=JobRef(id=command.job), container=container_ref(command.target))


def container_ref(target: Target) -> ContainerRef:
    """Return what replies say of a job's container."""
    return ContainerRef(
        id=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        cluster=target.cluster_name,
        is_provisional=target.vmid_is_provisional,
    )


def refuse_too_large(command: RunJob) -> None:
    """Raise `JobTooLarge`, which names what is largest, unless a command fits into a message."""
    size = len(command.model_dump_json().encode())
    if size <= LARGEST_BYTES:
        return
    fields = command.model_dump(mode="json")
    parts = fields["spec"] | {f"args.{name}": value for name, value in fields["args"].items()}
    field = max(parts, key=lambda name: len(str(parts[name])))
    message = (
        f"The command of this job takes {size >> 10} KiB, and {LARGEST_BYTES >> 10} KiB is the most; "
        f"most of it is in {field}."
    )
    raise at(field, JobTooLarge, message)


def command_on(row: Row[Any], request: KindAndArgs, *, ran_before: bool = False) -> RunJob:
    """Return the command of a new job on a container, by its row with its cluster's name."""
    spec, target = ContainerSpec.model_validate(row.spec), target_of(row)
    return RunJob(**dict(request), job=new_id(), target=target, spec=spec, ran_before=ran_before)


def _row(command: RunJob, call: Call, parent: Id | None, *, is_begun: bool) -> dict[str, object]:
    at = now()
    return {
        "id": command.job,
        "kind": command.kind,
        "container_id": command.target.container if command.kind.has_container else None,
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
        "released_at": at if is_begun else None,
        "created_at": at,
    }


def _fact(command: RunJob, call: Call) -> Outgoing:
    target, has_container = command.target, command.kind.has_container
    event = JobAccepted(
        id=command.job,
        kind=command.kind,
        container=target.container if has_container else None,
        vmid=target.vmid if has_container else None,
        hostname=target.hostname if has_container else None,
        actor=call.actor,
        at=now(),
    )
    first = f"job:{command.job}:accepted"
    return Outgoing(message=event, message_id=first, expect_last_subject_sequence=0)
