"""Plans: a request is decided on as always, nothing is committed, and its run is explained."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway.contracts.job_kinds import KINDS, JobKind, NoArgs
from slipway.contracts.jobs import RequestCancel, RunJob, Target
from slipway.contracts.plans import Explained, ExplainRun, Plan, PlanJob, PlanStep
from slipway.contracts.problems import Invalid
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.batches.use_cases import BatchRequests
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers import own_container
from slipway.inventory.containers.create import Creations
from slipway.inventory.decision import Decision, Proposal
from slipway.inventory.jobs import capacity
from slipway.inventory.jobs.enqueuer import container_ref
from slipway.inventory.jobs.use_cases import Cancellation, JobRequests
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus


class PlanEmpty(Invalid):
    """There is nothing to plan."""

    code = "plan.empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHandlers:
    """Answers what jobs would do."""

    bus: Bus
    acceptance: Acceptance
    clusters: ClusterStore
    creations: Creations
    requests: JobRequests
    batches: BatchRequests

    async def plan(self, query: PlanJob, _call: Call) -> Plan:
        """Return what a job would do; a request that would be refused is refused."""
        if query.cancel is not None:
            return await self._plan_cancel(query.cancel)
        command, *others = await self._decide(query)
        if not command.kind.has_container:
            raise PlanEmpty(f"A {command.kind} has no plan: it changes no container.")
        explained = await self.bus.ask(ExplainRun(command=command))
        more = (f"{len(others)} more like this one are made, as one batch.",) if others else ()
        cluster = await self.clusters.stored(command.target.cluster)
        lacking = capacity.warnings([command, *others], {cluster.id: cluster.nodes})
        own = own_container.warnings([command, *others], self.acceptance.unit.enqueuer.own_addresses)
        warnings = (*own, *more, *lacking, *explained.warnings)
        return _plan(command, explained.model_copy(update={"warnings": warnings}))

    async def _decide(self, query: PlanJob) -> Sequence[RunJob]:
        """Return the jobs that a request would become."""
        proposal: Proposal[Any]
        if query.create is not None:
            proposal = await self.creations.propose(query.create)
        elif query.delete is not None:
            proposal = await self.requests.propose_deletion(query.delete)
        elif query.create_many is not None:
            proposal = await self.batches.propose_many(query.create_many)
        elif query.request is not None:
            proposal = await self.requests.propose(query.request)
        elif query.retry is not None:
            proposal = await self.requests.propose_retry(query.retry)
        else:
            raise PlanEmpty("Say what shall be planned: a creation, a deletion, a job, a retry or a cancel.")
        decision: Decision[Any] = await self.acceptance.plan(proposal)
        return decision.commands

    async def _plan_cancel(self, request: RequestCancel) -> Plan:
        if await self.requests.jobs.is_batch(request.job):
            raise PlanEmpty("The cancel of a batch is planned by PlanBatchCancel.")
        decision = await self.acceptance.plan(await self.requests.propose_cancel(request))
        return _cancel_plan(decision.reply)


def _plan(command: RunJob, explained: Explained) -> Plan:
    target = command.target
    identity = (
        command.kind,
        target.cluster,
        target.node,
        target.hostname,
        None if target.vmid_is_provisional else target.vmid,
        command.args.model_dump_json(),
        command.spec.model_dump_json(),
        tuple((step.name, step.effect) for step in explained.steps),
        explained.destroys,
    )
    plan = _hashed(command.kind, target, explained, identity)
    return plan.model_copy(update={"site_defaults": command.site_defaults})


def _cancel_plan(cancellation: Cancellation) -> Plan:
    """Return what a cancel would end, and what becomes of what the job has made."""
    order, record = cancellation.order, cancellation.record
    target = order.target
    running = next((step for step in (record.steps if record else ()) if step.status == "started"), None)
    is_there = record.exists_on_host if record else order.exists_on_host
    where = f"it is in step {running.name}" if running else "it is between two steps"
    steps = [
        PlanStep(
            name="cancel",
            words="End the script or the task that runs, then the job",
            effect="acts",
            message=where if record else "it has not begun",
        )
    ]
    destroys: tuple[str, ...] = ()
    warnings: list[str] = []
    if order.remove_on_cancel and record is not None:
        steps.append(PlanStep(name="destroy", words="Remove what the job has made", effect="later"))
        if is_there:
            destroys = KINDS[JobKind.DELETE].loss_of(NoArgs(), vmid=target.vmid, hostname=target.hostname)
    elif is_there and order.kind.creates_container:
        warnings.append("The container stays as far as it is made: retry the job, or delete it.")
    explained = Explained(steps=tuple(steps), destroys=destroys, warnings=tuple(warnings))
    return _hashed(order.kind, target, explained, (order.job, explained.model_dump_json()))


def _hashed(kind: JobKind, target: Target, explained: Explained, identity: tuple[object, ...]) -> Plan:
    return Plan(
        **dict(explained),
        kind=kind,
        container=container_ref(target),
        hash=hashlib.sha256(repr(identity).encode()).hexdigest(),
    )
