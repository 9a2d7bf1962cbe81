"""Events about a run, made from its record, and what they change in it. Pure but for the clock."""

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.contracts.job_events import JobDone, JobPhase, JobProgress, JobStep
from slipway.contracts.jobs import RunRecord, StepStatus
from slipway.contracts.message import Event
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState
from slipway.provisioner.engine.step import Step
from slipway.runtime.process.clock import now

LONGEST_MESSAGE = 2000
"""Characters of a message between two steps, or of an error."""
NO_FACTS: Mapping[str, str] = {}


def done(record: RunRecord, state: JobState, *, error: Problem | None = None) -> JobDone:
    """Return the event that ends the run."""
    has_container = record.kind.has_container
    return JobDone(
        id=record.id,
        state=state,
        container=record.target.container if has_container else None,
        vmid=record.target.vmid if has_container else None,
        percent=100 if state is JobState.SUCCEEDED else record.percent,
        warnings=record.warnings,
        error=error,
        at=now(),
    )


def progress(record: RunRecord, message: str, *, vmid: int | None = None) -> JobProgress:
    """Return the event about the progress between two steps."""
    return JobProgress(
        id=record.id,
        phase=record.phase,
        percent=record.percent,
        message=message[:LONGEST_MESSAGE],
        vmid=vmid,
        at=now(),
    )


def beginning(
    record: RunRecord, of: Step[Any], inherited: Mapping[str, str] = NO_FACTS
) -> tuple[Sequence[Event], dict[str, Any]]:
    """Return the events with which a step begins, or begins again, and the changes of the record."""
    before = status_of(record, of)
    status = (
        before.model_copy(update={"status": "started", "attempts": before.attempts + 1})
        if before
        else StepStatus(
            name=of.name,
            phase=of.phase,
            started_at=now(),
            is_cancellable=of.is_cancellable,
            facts=inherited,
        )
    )
    caused: list[Event] = []
    percent, phase = max(record.percent, of.percent), of.phase or record.phase
    if of.opens_phase and of.phase is not None and before is None:
        caused.append(JobPhase(id=record.id, phase=of.phase, status="started", percent=of.percent, at=now()))
    opened = record.model_copy(update={"percent": percent, "phase": phase})
    caused.append(step(opened, status, of=of))
    others = (each for each in record.steps if each.name != of.name)
    return caused, {"steps": (*others, status), "phase": phase, "percent": percent}


def status_of(record: RunRecord, step: Step[Any]) -> StepStatus | None:
    """Return where a step stands; None if it was never begun."""
    return next((each for each in record.steps if each.name == step.name), None)


def step(
    record: RunRecord, status: StepStatus, *, of: Step[Any] | None = None, message: str | None = None
) -> JobStep:
    """Return the event about a step's status; `of` is its row of the pipeline."""
    seconds = (status.finished_at - status.started_at).total_seconds() if status.finished_at else None
    return JobStep(
        id=record.id,
        phase=status.phase,
        step=status.name,
        status=status.status,
        percent=record.percent,
        attempt=status.attempts,
        script=of.script if of else None,
        index=of.index if of else None,
        total=of.total if of else None,
        scripts=of.scripts if of and status.status == "started" else (),
        message=message,
        seconds=seconds,
        at=now(),
    )
