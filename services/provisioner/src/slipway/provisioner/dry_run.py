"""Tells what a run would do, by going its way on a host that is looked at and never touched.

The steps are the run's own. Each is gone into with a cluster that changes nothing; where it would first
change something it is left, and what it would have sent is told. What depends on that change is told by its
purpose only.
"""

from collections import deque
from typing import Any

from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.jobs import JobLog, RunJob, RunRecord, StepStatus
from slipway.contracts.message import Event
from slipway.contracts.plans import Explained, ExplainRun, PlanStep
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import JobState
from slipway.provisioner import pipelines
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.log_bound import LIMITS
from slipway.provisioner.engine.records import Run
from slipway.provisioner.engine.run import before_retry
from slipway.provisioner.host import config_warnings, obstacles, room
from slipway.provisioner.steps import host_access
from slipway.provisioner.steps.work import Step, Work
from slipway.proxmox.dry_run import DryRunCluster, WouldChange
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.clock import now
from slipway.runtime.process.host_access import NONE, HostAccessPolicy


class Explainer:
    """Answers what a run would do."""

    def __init__(
        self, bus: Bus, access: Access, bundles: Bundles, host_access: HostAccessPolicy = NONE
    ) -> None:
        self._bus = bus
        self._access = access
        self._bundles = bundles
        self._host_access = host_access

    async def explain(self, query: ExplainRun, _call: Call) -> Explained:
        """Go the run's way; nothing is changed, on the host or here."""
        command = query.command
        archive = await self._bundles.get(command.bundle) if command.bundle else None
        work = Work(
            command=command,
            cluster=DryRunCluster(await self._access.open(command.target.cluster)),
            bundle=Bundle.unpack(archive) if archive else None,
            secrets={},
            journal=DryRunJournal(command),
            bus=self._bus,
            host_access=self._host_access,
        )
        steps = await _dry_run(work)
        warnings = tuple(await _warnings(work))
        return Explained(steps=steps, destroys=_loss(command), warnings=warnings)


class DryRunJournal(RunJournal):
    """A log that nobody hears: what a run would write down is stored for its later steps only."""

    def __init__(self, command: RunJob) -> None:
        self.limits = LIMITS
        self.last_lines = deque(maxlen=0)
        record = RunRecord(
            id=command.job,
            kind=command.kind,
            state=JobState.RUNNING,
            claim=0,
            commit="",
            owner="",
            target=command.target,
            started_at=now(),
        )
        self._run = Run(record, 0)

    @property
    def has_room(self) -> bool:
        """Nothing is stored that could need room."""
        return True

    async def commit(self, *_events: Event, **changes: Any) -> None:
        """Keep the changes."""
        self._run.record = self._run.record.model_copy(update=changes)

    async def tell(self, message: str, *, vmid: int | None = None) -> None:
        """Nobody hears."""

    async def publish(self, event: Event, message_id: str) -> int:  # noqa: ARG002  nothing is stored
        """Nothing is stored."""
        return 0

    async def earlier(self, job: str) -> RunRecord | None:  # noqa: ARG002  nothing is loaded
        """Nothing is known of a former try."""
        return None

    async def last_log(self) -> JobLog | None:
        """Nothing was told before."""
        return None


async def _dry_run(work: Work) -> tuple[PlanStep, ...]:
    steps = pipelines.plan(work)
    skipped = before_retry(steps, work.command.first_step)
    told: list[PlanStep] = []
    has_acted = has_failed = False
    for step in steps:
        if step.name in skipped:
            told.append(_planned(step, "skipped"))
        elif (
            has_failed
            or step.looks_after
            or (has_acted and (work.command.kind.creates_container or step.phase is not None))
        ):
            told.append(_planned(step, "later"))
        else:
            told.append(await _look(work, step, has_acted=has_acted))
        has_acted = has_acted or told[-1].effect == "acts"
        has_failed = has_failed or told[-1].effect == "fails"
    return tuple(told)


async def _look(work: Work, step: Step, *, has_acted: bool) -> PlanStep:
    work.step = step
    begun = StepStatus(name=step.name, phase=step.phase, started_at=now())
    await work.journal.commit(steps=(*work.journal.record.steps, begun))
    try:
        result = await step.act(work)
    except WouldChange as change:
        return await _first_act(work, step, str(change), has_acted=has_acted)
    except SlipwayError as error:
        return _planned(step, "fails", problem=error.to_problem(), message=error.message)
    if has_acted and step.name.endswith(".start"):
        return _planned(step, "later")
    return _planned(step, "skipped" if result.status == "skipped" else "done", message=result.message)


async def _first_act(work: Work, step: Step, request: str, *, has_acted: bool) -> PlanStep:
    """Tell what would be sent, or what Proxmox would say against it."""
    seen = None if has_acted else await obstacles.see(work)
    error = obstacles.refusal(work.command, seen) if seen is not None else None
    if error is None:
        return _planned(step, "acts", request=request)
    return _planned(step, "fails", request=request, problem=error.to_problem(), message=error.message)


def _planned(step: Step, effect: str, **told: Any) -> PlanStep:
    known = {"name": step.name, "phase": step.phase, "words": step.words, "effect": effect}
    return PlanStep.model_validate({**known, "is_cancellable": step.is_cancellable, **told})


def _loss(command: RunJob) -> tuple[str, ...]:
    target = command.target
    return KINDS[command.kind].loss_of(command.args, vmid=target.vmid, hostname=target.hostname)


async def _warnings(work: Work) -> list[str]:
    kind = work.command.kind
    told = [*obstacles.always(kind)]
    if (seen := await obstacles.see(work)) is not None:
        told += obstacles.warnings(work.command, seen)
    if kind is JobKind.CLONE and any(
        "/" in (each.ip or "") + (each.ip6 or "") for each in work.spec.networks
    ):
        told.append("It keeps the fixed addresses: give the copy its own (configure) before both run.")
    told += await config_warnings.of(work)
    told += await room.warnings(work)
    if kind in {JobKind.CREATE, JobKind.CONFIGURE} and (keys := host_access.names(work)):
        told.append(
            f"No API token may set {', '.join(keys)}: `pct set` does it over SSH; it reaches into the host."
        )
    return told
