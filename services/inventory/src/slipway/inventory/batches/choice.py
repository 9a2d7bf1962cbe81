"""The containers of a batch, each with what speaks against a job on it now, in few queries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import PlanItem
from slipway.contracts.containers import ContainerSpec
from slipway.contracts.job_kinds import Args, JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.contracts.problems import Rejected, SlipwayError, Unavailable
from slipway.contracts.values import Lifecycle
from slipway.inventory.batches.rules import BatchCommand, shortened
from slipway.inventory.clusters.store import Seen, seen_of
from slipway.inventory.containers.claims import JobActive, working_on
from slipway.inventory.containers.lifecycle import Trigger, advance, refuse_unless_it_lives
from slipway.inventory.containers.store import ContainerNotFound, target_of
from slipway.inventory.jobs.validation import Known, looks_at_nodes
from slipway.inventory.tables import clusters, containers
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

Judge = Callable[[JobKind, Args, Known], None]
"""Raises what speaks against a job with these arguments on a container, by what is known of it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A container that a batch means."""

    planned: PlanItem
    row: Row[Any] | None
    """Its row with its cluster's name as `cluster`; None if nothing can be done with it now."""
    error: SlipwayError | None = None
    """Why not."""

    @classmethod
    def absent(cls, vmid: int) -> "Choice":
        """Give one that was named by its VMID and does not exist."""
        error = ContainerNotFound(f"There is no container with VMID {vmid}.")
        return cls(PlanItem(vmid=vmid, error=error.to_problem()), None, error)


async def choices_of(
    connection: AsyncConnection,
    ids: Sequence[Id],
    kind: JobKind,
    args: Args,
    judge: Judge,
    *,
    lock: bool,
) -> tuple[Choice, ...]:
    """Look at containers, in the order of `ids`; locked, nothing else is accepted for them before the end."""
    wanted = select(containers, clusters.c.name.label("cluster")).join(clusters)
    wanted = wanted.where(containers.c.id.in_(ids)).order_by(containers.c.id)
    rows = (await connection.execute(wanted.with_for_update(of=containers) if lock else wanted)).all()
    by_id = {row.id: row for row in rows}
    active = await working_on(connection, ids, kind)
    seen = await seen_by(connection, rows, args)

    def against(row: Row[Any]) -> SlipwayError | None:
        try:
            _refuse_busy(row, active.get(row.id), kind)
            judge(kind, args, known_of(row, seen))
        except (Rejected, Unavailable) as error:
            return error
        return None

    return tuple(_choice(by_id[each], against(by_id[each])) for each in ids)


async def seen_by(connection: AsyncConnection, rows: Sequence[Row[Any]], args: Args) -> Mapping[Id, Seen]:
    """Give what is known of the nodes that containers' rows are on, if the arguments ask for it."""
    if not looks_at_nodes(args):
        return {}
    return await seen_of(connection, {row.cluster_id for row in rows})


def known_of(row: Row[Any], seen: Mapping[Id, Seen]) -> Known:
    """Give what a job is held against, of a container's row."""
    nodes = seen.get(row.cluster_id, Seen())
    return Known(
        spec=ContainerSpec.model_validate(row.spec),
        vmid=row.vmid,
        hostname=row.hostname,
        node=row.node,
        nodes=nodes.nodes,
        in_maintenance=nodes.in_maintenance,
    )


def command_of(row: Row[Any], wanted: BatchCommand) -> RunJob:
    """Give the command that does with one container what the batch was asked for."""
    return RunJob(
        job=new_id(),
        kind=wanted.kind,
        target=target_of(row),
        spec=ContainerSpec.model_validate(row.spec),
        on_failure=wanted.on_failure,
        args=wanted.args,
    )


def plan_item_of(row: Row[Any], error: SlipwayError | None = None) -> PlanItem:
    """Give how a plan shows a container's row with its cluster's name, and why nothing is done with it."""
    return PlanItem(
        container=row.id,
        vmid=row.vmid,
        hostname=row.hostname,
        cluster=row.cluster,
        node=row.node,
        lifecycle=Lifecycle(row.lifecycle),
        error=shortened(error.to_problem()) if error else None,
    )


async def begin_deletion(connection: AsyncConnection, ids: Sequence[Id]) -> None:
    """Move containers that may be deleted into their deletion."""
    values = {"lifecycle": Lifecycle.DELETING, "warnings": [], "updated_at": now()}
    values["deleting_as"] = containers.c.lifecycle
    await connection.execute(update(containers).where(containers.c.id.in_(ids)).values(**values))


def _choice(row: Row[Any], error: SlipwayError | None) -> Choice:
    return Choice(plan_item_of(row, error), None if error else row, error)


def _refuse_busy(row: Row[Any], active: Id | None, kind: JobKind) -> None:
    if active is not None:
        raise JobActive(f"Job {active} works on this container; wait for its end.", job=active)
    if kind is JobKind.DELETE:
        advance(Lifecycle(row.lifecycle), Trigger.DELETION_ACCEPTED)
    else:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), kind)
