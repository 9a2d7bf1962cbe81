"""Plans: a request is accepted as always, in a transaction that is rolled back, and its run is explained."""

import hashlib
from dataclasses import replace

from slipway.contracts.containers import ContainerRef
from slipway.contracts.jobs import RunJob
from slipway.contracts.plans import Explained, ExplainRun, Plan, PlanJob
from slipway.contracts.problems import Invalid
from slipway.inventory.handlers.containers import ContainerHandlers
from slipway.inventory.handlers.jobs import JobHandlers
from slipway.inventory.store.intake import Planned
from slipway.runtime.bus import Bus
from slipway.runtime.call import Call


class PlanEmpty(Invalid):
    """There is nothing to plan."""

    code = "plan.empty"


class PlanHandlers:
    """Answers what jobs would do."""

    def __init__(self, bus: Bus, containers: ContainerHandlers, jobs: JobHandlers) -> None:
        """Take handlers whose intake is a `PlanningIntake`."""
        self._bus = bus
        self._containers = containers
        self._jobs = jobs

    async def plan(self, query: PlanJob, call: Call) -> Plan:
        """Tell what a job would do; a request that would be refused is refused."""
        try:
            await self._accept(query, replace(call, idempotency_key=None))
        except Planned as planned:
            command = planned.command
        else:
            raise PlanEmpty("Say what shall be planned: a creation, a deletion, a job or a retry.")
        return _plan(command, await self._bus.ask(ExplainRun(command=command)))

    async def _accept(self, query: PlanJob, call: Call) -> None:
        if query.create is not None:
            await self._containers.create(query.create, call)
        elif query.delete is not None:
            await self._containers.delete(query.delete, call)
        elif query.request is not None:
            await self._jobs.request(query.request, call)
        elif query.retry is not None:
            await self._jobs.retry(query.retry, call)


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
        tuple((step.name, step.outlook) for step in told.steps),
        told.destroys,
    )
    return Plan(
        **dict(told),
        kind=command.kind,
        container=ContainerRef(
            id=target.container,
            vmid=target.vmid,
            hostname=target.hostname,
            is_provisional=target.vmid_is_provisional,
        ),
        hash=hashlib.sha256(repr(seen).encode()).hexdigest(),
    )
