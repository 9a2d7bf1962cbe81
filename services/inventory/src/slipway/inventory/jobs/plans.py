"""Plans: a request is accepted as always, in a transaction that is rolled back, and its run is explained."""

import hashlib
from dataclasses import replace

from slipway.contracts.containers import ContainerRef
from slipway.contracts.job_kinds import KINDS, JobKind, NoArgs
from slipway.contracts.jobs import CancelJob, GetJob, RunJob, RunRecord, Target
from slipway.contracts.plans import Explained, ExplainRun, Plan, PlanJob, PlanStep
from slipway.contracts.problems import Invalid
from slipway.inventory.batches.handlers import BatchHandlers
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers.handlers import ContainerHandlers
from slipway.inventory.jobs import capacity
from slipway.inventory.jobs.enqueuer import CancelPlanned, Planned
from slipway.inventory.jobs.handlers import JobHandlers
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus


class PlanEmpty(Invalid):
    """There is nothing to plan."""

    code = "plan.empty"


class PlanHandlers:
    """Answers what jobs would do."""

    def __init__(
        self,
        bus: Bus,
        clusters: ClusterStore,
        *,
        containers: ContainerHandlers,
        jobs: JobHandlers,
        batches: BatchHandlers,
    ) -> None:
        """Take handlers whose enqueuer is a `PlanningEnqueuer`."""
        self._bus = bus
        self._clusters = clusters
        self._batches = batches
        self._containers = containers
        self._jobs = jobs

    async def plan(self, query: PlanJob, call: Call) -> Plan:
        """Tell what a job would do; a request that would be refused is refused."""
        try:
            await self._accept(query, replace(call, idempotency_key=None))
        except Planned as planned:
            command, others = planned.command, planned.others
        except CancelPlanned as planned:
            return _cancel_plan(planned.order, planned.record)
        else:
            raise PlanEmpty("Say what shall be planned: a creation, a deletion, a job, a retry or a cancel.")
        told = await self._bus.ask(ExplainRun(command=command))
        more = (f"{len(others)} more like this one are made, as one batch.",) if others else ()
        cluster = await self._clusters.known(command.target.cluster)
        lacking = capacity.warnings([command, *others], {cluster.id: cluster.nodes})
        warnings = (*more, *lacking, *told.warnings)
        return _plan(command, told.model_copy(update={"warnings": warnings}))

    async def _accept(self, query: PlanJob, call: Call) -> None:
        if query.create is not None:
            await self._containers.create(query.create, call)
        elif query.create_many is not None:
            await self._batches.create(query.create_many, call)
        elif query.delete is not None:
            await self._containers.delete(query.delete, call)
        elif query.request is not None:
            await self._jobs.request(query.request, call)
        elif query.retry is not None:
            await self._jobs.retry(query.retry, call)
        elif query.cancel is not None:
            found = await self._jobs.get(GetJob(job=query.cancel.job), call)
            if found.kind is JobKind.BATCH:
                raise PlanEmpty("The cancel of a batch is planned by PlanBatchCancel.")
            await self._jobs.cancel(query.cancel, call)


def _plan(command: RunJob, told: Explained) -> Plan:
    target = command.target
    seen = (
        command.kind,
        target.cluster,
        target.node,
        target.hostname,
        None if target.vmid_is_provisional else target.vmid,
        command.args.model_dump_json(),
        command.spec.model_dump_json(),
        tuple((step.name, step.effect) for step in told.steps),
        told.destroys,
    )
    return _told(command.kind, target, told, seen)


def _cancel_plan(order: CancelJob, record: RunRecord | None) -> Plan:
    """Say what a cancel would end, and what becomes of what the job has made."""
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
    told = Explained(steps=tuple(steps), destroys=destroys, warnings=tuple(warnings))
    return _told(order.kind, target, told, (order.job, told.model_dump_json()))


def _told(kind: JobKind, target: Target, told: Explained, seen: tuple[object, ...]) -> Plan:
    return Plan(
        **dict(told),
        kind=kind,
        container=ContainerRef(
            id=target.container,
            vmid=target.vmid,
            hostname=target.hostname,
            is_provisional=target.vmid_is_provisional,
        ),
        hash=hashlib.sha256(repr(seen).encode()).hexdigest(),
    )
