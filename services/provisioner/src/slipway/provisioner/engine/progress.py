"""How a step is recorded: each write changes the record and stores the events it causes, in one batch."""

from collections.abc import Mapping
from typing import Any

from slipway.contracts.job_events import JobPhase
from slipway.contracts.jobs import RunRecord, StepStatus
from slipway.contracts.message import Event
from slipway.provisioner.engine import events
from slipway.provisioner.engine.events import LONGEST_MESSAGE
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.step import Result, Step
from slipway.runtime.process.clock import now


def is_done(record: RunRecord, step: Step[Any]) -> bool:
    """Return whether a step has ended well."""
    status = events.status_of(record, step)
    return status is not None and status.status in {"finished", "skipped"}


def is_begun(record: RunRecord, step: Step[Any]) -> bool:
    """Return whether a step was begun and not ended."""
    status = events.status_of(record, step)
    return status is not None and status.status == "started"


async def begin(journal: RunJournal, step: Step[Any], inherited: Mapping[str, str] = events.NO_FACTS) -> None:
    """Record that a step begins, with facts of the retried job; again, if an earlier owner began it.

    The begin of one that looks first leaves with the next write.
    """
    caused, changes = events.beginning(journal.record, step, inherited)
    if step.looks_first:
        journal.defer(*caused, **changes)
    else:
        await journal.commit(*caused, **changes)


def finish(journal: RunJournal, step: Step[Any], result: Result) -> None:
    """Record that a step has ended well, with the next write: the begin of the next step, as a rule."""
    record = journal.record
    percent = max(record.percent, step.percent_after)
    current = next(each for each in record.steps if each.name == step.name)
    message = result.message[:LONGEST_MESSAGE] if result.message else None
    ended = _ended(current, result.status, message)
    advanced = record.model_copy(update={"percent": percent})
    caused: list[Event] = [events.step(advanced, ended, of=step, message=message)]
    if step.closes_phase and step.phase is not None:
        caused.append(JobPhase(id=record.id, phase=step.phase, status="finished", percent=percent, at=now()))
    replaced = tuple(ended if each.name == ended.name else each for each in record.steps)
    journal.defer(*caused, steps=replaced, percent=percent, claims_without_progress=0)


async def fail(journal: RunJournal, message: str, **changes: Any) -> None:
    """Record that the step under way has failed, if there is one, with these changes of the record."""
    record, message = journal.record, message[:LONGEST_MESSAGE]
    replaced = tuple(
        _ended(each, "failed", message) if each.status == "started" else each for each in record.steps
    )
    failed = [each for each, before in zip(replaced, record.steps, strict=True) if each is not before]
    caused = [events.step(record, each, message=message) for each in failed[-1:]]
    await journal.commit(*caused, steps=replaced, **changes)


def _ended(step: StepStatus, status: str, message: str | None) -> StepStatus:
    return step.model_copy(update={"status": status, "finished_at": now(), "message": message})
