"""How a step is written down: the record and what is told of it, as one."""

from collections.abc import Mapping
from typing import Any

from slipway.contracts.jobs import JobPhase, RunRecord, StepStatus
from slipway.contracts.message import Event
from slipway.provisioner.engine import events
from slipway.provisioner.engine.journal import LONGEST_MESSAGE, RunJournal
from slipway.provisioner.steps.work import Result, Step
from slipway.runtime.process.clock import now

NOTHING: Mapping[str, str] = {}


def is_done(record: RunRecord, step: Step) -> bool:
    """Whether a step has ended well."""
    status = _status(record, step)
    return status is not None and status.status in {"finished", "skipped"}


def is_begun(record: RunRecord, step: Step) -> bool:
    """Whether a step was begun and not ended."""
    status = _status(record, step)
    return status is not None and status.status == "started"


async def begin(journal: RunJournal, step: Step, known: Mapping[str, str] = NOTHING) -> None:
    """Write that a step begins, with what is known for it; again, if an earlier owner had begun it."""
    record = journal.record
    before = _status(record, step)
    begun = (
        before.model_copy(update={"status": "started", "attempts": before.attempts + 1})
        if before
        else StepStatus(
            name=step.name,
            phase=step.phase,
            started_at=now(),
            is_cancellable=step.is_cancellable,
            facts=known,
        )
    )
    facts: list[Event] = []
    percent, phase = max(record.percent, step.percent), step.phase or record.phase
    if step.opens_phase and step.phase is not None and before is None:
        told = JobPhase(id=record.id, phase=step.phase, status="started", percent=step.percent, at=now())
        facts.append(told)
    opened = record.model_copy(update={"percent": percent, "phase": phase})
    facts.append(events.step(opened, begun, of=step))
    others = (each for each in record.steps if each.name != step.name)
    await journal.commit(*facts, steps=(*others, begun), phase=phase, percent=percent)


async def finish(journal: RunJournal, step: Step, result: Result) -> None:
    """Write that a step has ended well."""
    record = journal.record
    percent = max(record.percent, step.percent_after)
    current = next(each for each in record.steps if each.name == step.name)
    message = result.message[:LONGEST_MESSAGE] if result.message else None
    ended = events.ended(current, result.status).model_copy(update={"message": message})
    told = record.model_copy(update={"percent": percent})
    facts: list[Event] = [events.step(told, ended, of=step, message=message)]
    if step.closes_phase and step.phase is not None:
        facts.append(JobPhase(id=record.id, phase=step.phase, status="finished", percent=percent, at=now()))
    replaced = tuple(ended if each.name == ended.name else each for each in record.steps)
    await journal.commit(*facts, steps=replaced, percent=percent, claims_without_progress=0)


async def fail(journal: RunJournal, message: str, **changes: Any) -> None:
    """Write that the step under way has failed, if there is one, with these changes of the record."""
    record, message = journal.record, message[:LONGEST_MESSAGE]
    replaced = tuple(
        events.ended(each, "failed").model_copy(update={"message": message})
        if each.status == "started"
        else each
        for each in record.steps
    )
    failed = [each for each, before in zip(replaced, record.steps, strict=True) if each is not before]
    told = [events.step(record, each, message=message) for each in failed[-1:]]
    await journal.commit(*told, steps=replaced, **changes)


def _status(record: RunRecord, step: Step) -> StepStatus | None:
    return next((each for each in record.steps if each.name == step.name), None)
