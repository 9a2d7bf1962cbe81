"""Events about a run, made from its record. Pure but for the clock."""

from typing import Any

from slipway.contracts.job_events import JobDone, JobProgress, JobStep
from slipway.contracts.jobs import RunRecord, StepStatus
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState
from slipway.provisioner.engine.step import Step
from slipway.runtime.process.clock import now

LONGEST_MESSAGE = 2000
"""Characters of a message between two steps, or of an error."""


def done(record: RunRecord, state: JobState, *, error: Problem | None = None) -> JobDone:
    """Return the event that ends the run."""
    return JobDone(
        id=record.id,
        state=state,
        container=record.target.container,
        vmid=record.target.vmid,
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
