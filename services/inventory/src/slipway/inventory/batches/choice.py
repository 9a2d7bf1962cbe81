"""The containers of a batch, each with the job that it would get now, or the reason why it gets none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchItem
from slipway.contracts.bulk import MOST_ITEMS, PlanItem
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RetryJob, RunJob
from slipway.contracts.message import Id
from slipway.contracts.problems import Rejected, SlipwayError, Unavailable
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.batches.rules import BatchCommand, shortened
from slipway.inventory.batches.store import UNSUCCESSFUL, items_of
from slipway.inventory.clusters.store import SeenNodes, limits_of, seen_of
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.claims import JobActive, active_jobs
from slipway.inventory.containers.clauses import clause_of
from slipway.inventory.containers.lifecycle import Trigger, advance, refuse_unless_it_lives
from slipway.inventory.containers.selection import Selected, missing, read_selection, refused
from slipway.inventory.containers.store import ContainerNotFound, with_cluster
from slipway.inventory.decision import Write
from slipway.inventory.jobs.enqueuer import command_on
from slipway.inventory.jobs.retry import Chosen, NotRetryable, decide_retry
from slipway.inventory.jobs.store import job_row
from slipway.inventory.jobs.validation import ContainerFacts, check_against, looks_at_limits, looks_at_nodes
from slipway.inventory.tables import ACTIVE, clusters, containers, jobs


@dataclass(frozen=True, slots=True)
class Choice:
    """A container that a batch means."""

    item: BatchItem
    planned: PlanItem
    """As its container is before anything is done; its error says why nothing can be done."""
    command: RunJob | None = None
    writes: Sequence[Write] = ()
    """Take the container of a retried job back."""


async def choose(tx: AsyncConnection, command: BatchCommand) -> Sequence[Choice]:
    """Lock the containers that a batch's selection means, and return what the batch would do with each."""
    selected, absent = await select_containers(tx, command.selection)
    ids = [each.id for each in selected]
    rows = await _locked(tx, ids)
    check = await _check_of(tx, rows, command)
    choices = [check.choice(index, rows[each]) for index, each in enumerate(ids)]
    return [*choices, *(_absent(index, vmid) for index, vmid in enumerate(absent, len(choices)))]


async def choose_again(tx: AsyncConnection, job: Id) -> tuple[BatchCommand, Sequence[Choice]]:
    """Lock the containers of what did not succeed in a batch, and return what a retry would do with each."""
    old = await job_row(tx, job)
    if old.kind != JobKind.BATCH or old.state not in UNSUCCESSFUL:
        raise NotRetryable(f"Job {old.id} is {old.state}; only a failed or cancelled batch can.")
    command = BatchCommand.model_validate(old.command).model_copy(update={"cancel_requested": False})
    items = [each for each in await items_of(tx, old.id) if each.state in UNSUCCESSFUL]
    rows = await _locked(tx, [each.container for each in items if each.container])
    check = await _check_of(tx, rows, command)
    chosen: Chosen = set()

    async def again(index: int, item: BatchItem) -> Choice:
        row = rows.get(item.container or "")
        if row is None:
            return _absent(index, item.vmid, item.hostname)
        if item.job is None:
            return check.choice(index, row)
        try:
            check.refuse_impossible(row)
            retry = await decide_retry(tx, RetryJob(job=item.job), chosen)
        except (Rejected, Unavailable) as error:
            return _failed(index, plan_item_of(row, error))
        (command,) = retry.commands
        return Choice(waiting_item(index, command), plan_item_of(row), command, retry.writes)

    return command, [await again(index, item) for index, item in enumerate(items)]


def plan_item_of(row: Row[Any], error: SlipwayError | None = None) -> PlanItem:
    """Return how a plan shows a container's row with its cluster's name, and why nothing is done with it."""
    problem = shortened(error.to_problem()) if error else None
    return PlanItem.model_validate({**row._asdict(), "container": row.id, "error": problem})


def waiting_item(index: int, command: RunJob) -> BatchItem:
    """Return the item of a job that was accepted."""
    return BatchItem(**dict(command.target), index=index, job=command.job, state=JobState.QUEUED)


@dataclass(frozen=True, slots=True)
class _Check:
    """The checks of a batch's jobs."""

    command: BatchCommand
    active: Mapping[Id, Id]
    """The jobs that work on its containers, by container."""
    seen: Mapping[Id, SeenNodes]
    """What is known of nodes, by cluster; empty unless the arguments are checked against it."""
    limits: Mapping[Id, ClusterLimits]
    """By cluster; empty unless the arguments are checked against them."""

    def choice(self, index: int, row: Row[Any]) -> Choice:
        """Return what a new job would do with a container."""
        try:
            refuse_below(row.cluster_tier, self.command.kind, cluster=row.cluster)
            _refuse_busy(row, self.active.get(row.id), self.command.kind)
            self.refuse_impossible(row)
        except (Rejected, Unavailable) as error:
            return _failed(index, plan_item_of(row, error))
        command = command_on(row, self.command)
        return Choice(waiting_item(index, command), plan_item_of(row), command)

    def refuse_impossible(self, row: Row[Any]) -> None:
        """Refuse what would be refused for the container alone."""
        nodes = self.seen.get(row.cluster_id, SeenNodes())
        facts = ContainerFacts(
            spec=ContainerSpec.model_validate(row.spec),
            vmid=row.vmid,
            hostname=row.hostname,
            node=row.node,
            nodes=nodes.nodes,
            in_maintenance=nodes.in_maintenance,
            limits=self.limits.get(row.cluster_id, DENIED),
        )
        check_against(self.command.kind, self.command.args, facts)


async def _check_of(tx: AsyncConnection, rows: Mapping[Id, Row[Any]], command: BatchCommand) -> _Check:
    active = await active_jobs(tx, list(rows), command.kind)
    ids = {row.cluster_id for row in rows.values()}
    seen = await seen_of(tx, ids) if ids and looks_at_nodes(command.args) else {}
    limits = await limits_of(tx, ids) if ids and looks_at_limits(command.args) else {}
    return _Check(command, active, seen, limits)


def _absent(index: int, vmid: int, hostname: str = "") -> Choice:
    """Return one that was named by its VMID and does not exist."""
    error = ContainerNotFound(f"There is no container with VMID {vmid}, or not in the cluster named with it.")
    return _failed(index, PlanItem(vmid=vmid, hostname=hostname, error=error.to_problem()))


def _failed(index: int, planned: PlanItem) -> Choice:
    return Choice(BatchItem(**dict(planned), index=index, state=JobState.FAILED), planned)


def _refuse_busy(row: Row[Any], active: Id | None, kind: JobKind) -> None:
    if active is not None:
        raise JobActive(f"Job {active} works on this container; wait for its end.", job=active)
    if kind is JobKind.DELETE:
        advance(Lifecycle(row.lifecycle), Trigger.DELETION_ACCEPTED)
    else:
        refuse_unless_it_lives(Lifecycle(row.lifecycle), kind)


async def _locked(tx: AsyncConnection, ids: Sequence[Id]) -> Mapping[Id, Row[Any]]:
    """Lock containers in one order, so that two batches never wait for each other."""
    query = with_cluster().where(containers.c.id.in_(ids)).order_by(containers.c.id)
    return {row.id: row for row in await tx.execute(query.with_for_update(of=containers))}


async def select_containers(
    tx: AsyncConnection, selection: str
) -> tuple[Sequence[Selected], tuple[int, ...]]:
    """Return the living containers that a selection means, and the VMIDs in it that nothing has.

    Raises:
        SelectionInvalid: if it can't be read, means nothing, or too much.
    """
    search, one = read_selection(selection), containers.c
    query = select(one.id, one.vmid, one.cluster_id, clusters.c.name.label("cluster")).join(clusters)
    query = query.where(one.lifecycle != Lifecycle.DELETED, clause_of(search))
    rows = await tx.execute(query.order_by(clusters.c.name, one.vmid, one.id))
    selected = [Selected(**row._asdict()) for row in rows]
    if not selected:
        raise refused(
            "No container fits it: a blank narrows, a comma adds. `slipway ls` shows which there are."
        )
    if len(selected) > MOST_ITEMS:
        raise refused(f"{len(selected)} containers fit it; {MOST_ITEMS} are the most in one batch.")
    return selected, missing(search, selected)


async def jobs_of(tx: AsyncConnection, selection: str) -> Sequence[Id]:
    """Return the jobs that work on what a selection means, as far as the rows know."""
    selected, _ = await select_containers(tx, selection)
    own = jobs.c.container_id.in_([each.id for each in selected])
    return (await tx.scalars(select(jobs.c.id).where(own, jobs.c.state.in_(ACTIVE)))).all()
