"""Explains what a run would do, by going through its steps on a host that is read and never changed.

The steps are the run's own. Each acts on a cluster that changes nothing; where it would first change
something it is left, and the request that it would have sent is shown. Of a step that depends on that change
only the purpose is shown.
"""

from dataclasses import replace
from typing import Any

from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.jobs import StepStatus
from slipway.contracts.plans import Explained, ExplainRun, PlanStep
from slipway.contracts.problems import SlipwayError
from slipway.provisioner import pipelines
from slipway.provisioner.dry_run import config_warnings, obstacles
from slipway.provisioner.dry_run.journal import DryRunJournal
from slipway.provisioner.engine.step import Step, before_retry
from slipway.provisioner.host.work import Work
from slipway.provisioner.preparation import Preparation
from slipway.provisioner.steps import host_access
from slipway.proxmox.dry_run import DryRunCluster, WouldChange
from slipway.runtime.bus.call import Call
from slipway.runtime.process.clock import now


class Explainer:
    """Handles `ExplainRun`."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation

    async def explain(self, query: ExplainRun, _call: Call) -> Explained:
        """Go through the steps; nothing is changed, on the host or here."""
        command = query.command
        work = await self._preparation.without_secrets(command, DryRunJournal(command))
        work = replace(work, cluster=DryRunCluster(work.cluster), reopen=None)
        steps = await _go_through(work)
        warnings = tuple(await _warnings(work))
        vmid, hostname = command.target.vmid, command.target.hostname
        loss = KINDS[command.kind].loss_of(command.args, vmid=vmid, hostname=hostname)
        return Explained(steps=steps, destroys=loss, warnings=warnings)


async def _go_through(work: Work) -> tuple[PlanStep, ...]:
    steps = pipelines.plan(work)
    skipped = before_retry(steps, work.command.first_step)
    rows: list[PlanStep] = []
    has_acted = has_failed = False
    for step in steps:
        if step.name in skipped:
            rows.append(_row(step, "skipped"))
        elif (
            has_failed
            or step.looks_after
            or (has_acted and (work.command.kind.creates_container or step.phase is not None))
        ):
            rows.append(_row(step, "later"))
        else:
            rows.append(await _try(work, step, has_acted=has_acted))
        has_acted = has_acted or rows[-1].effect == "acts"
        has_failed = has_failed or rows[-1].effect == "fails"
    return tuple(rows)


async def _try(work: Work, step: Step[Work], *, has_acted: bool) -> PlanStep:
    work.step = step
    status = StepStatus(name=step.name, phase=step.phase, started_at=now())
    await work.journal.commit(steps=(*work.journal.record.steps, status))
    try:
        result = await step.act(work)
    except WouldChange as change:
        return await _first_act(work, step, str(change), has_acted=has_acted)
    except SlipwayError as error:
        return _row(step, "fails", problem=error.to_problem(), message=error.message)
    if has_acted and step.name.endswith(".start"):
        return _row(step, "later")
    return _row(step, "skipped" if result.status == "skipped" else "done", message=result.message)


async def _first_act(work: Work, step: Step[Work], request: str, *, has_acted: bool) -> PlanStep:
    """Show the request, or the error with which Proxmox would refuse it."""
    observation = None if has_acted else await obstacles.observe(work)
    error = obstacles.refusal(work.command, observation) if observation is not None else None
    if error is None:
        return _row(step, "acts", request=request)
    return _row(step, "fails", request=request, problem=error.to_problem(), message=error.message)


def _row(step: Step[Work], effect: str, **fields: Any) -> PlanStep:
    row = {"name": step.name, "phase": step.phase, "words": step.purpose, "effect": effect}
    return PlanStep.model_validate({**row, "is_cancellable": step.is_cancellable, **fields})


async def _warnings(work: Work) -> list[str]:
    kind = work.command.kind
    warnings = [*obstacles.warnings(work.command, await obstacles.observe(work))]
    if kind is JobKind.CLONE and any(
        "/" in (each.ip or "") + (each.ip6 or "") for each in work.spec.networks
    ):
        warnings.append("It keeps the fixed addresses: give the copy its own (configure) before both run.")
    warnings += await config_warnings.warnings(work)
    if kind in {JobKind.CREATE, JobKind.CONFIGURE} and (keys := host_access.names(work)):
        warnings.append(
            f"No API token may set {', '.join(keys)}: `pct set` does it over SSH; it reaches into the host."
        )
    return warnings
