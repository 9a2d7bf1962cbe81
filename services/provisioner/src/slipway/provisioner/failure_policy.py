"""How a run ends badly: what is shown of the failure, and what becomes of the container.

What the policy asks for is done in steps like all others: begun on the record, tried again for as long as
the retry budget lasts, gone on with by a new owner. Each is tried on its own; one that fails does not keep
the others from it.
"""

from collections.abc import Awaitable, Callable, Mapping

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.problems import Problem
from slipway.contracts.values import OnFailure
from slipway.provisioner.engine.journal import LONGEST_MESSAGE
from slipway.provisioner.host import ownership
from slipway.provisioner.steps import clone, delete
from slipway.provisioner.steps.work import DONE, Result, Step, Work
from slipway.proxmox.upid import Upid

LAST_LINES = "last_lines"
_LONGEST_LINES = 32 * 1024
_MOST_ERRORS = 50
_MADE_IN = frozenset({"create.task", "clone.task"})

Do = Callable[[Step], Awaitable[bool]]
"""Does a step of the failure policy; whether it went well."""
Look = Callable[[Work], Awaitable[ownership.Found | None]]
"""Looks what there is; None if it can't be made out."""


def with_evidence(problem: Problem, work: Work | None, last_lines: str) -> Problem:
    """Give the problem with its step, command, task and last lines; of bounded size."""
    evidence = {
        "step": work.step.name if work and work.step else "",
        "upid": work.facts().get("upid", "") if work else "",
        LAST_LINES: last_lines,
    }
    told = {name: text for name, text in evidence.items() if text} | dict(problem.details)
    command = _command(told)
    return problem.model_copy(
        update={
            "message": problem.message[:LONGEST_MESSAGE],
            "errors": tuple(
                each.model_copy(update={"message": each.message[:LONGEST_MESSAGE]})
                for each in problem.errors[:_MOST_ERRORS]
            ),
            "details": {
                name: text[: _LONGEST_LINES if name == LAST_LINES else LONGEST_MESSAGE]
                for name, text in ({"command": command} | told if command else told).items()
            },
        }
    )


def _command(details: Mapping[str, str]) -> str:
    """Name what was asked of the host: a command, else a request, else a task."""
    if told := details.get("command"):
        return told
    if "method" in details and "path" in details:
        return f"{details['method']} {details['path']}"
    upid = details.get("upid")
    return f"{Upid(upid).type} {Upid(upid).id}".strip() if upid else ""


async def keep_policy(work: Work, do: Do, look: Look) -> bool:
    """Stop or destroy what failed, if that is wished; whether something may exist on the host now."""
    if work.command.kind is JobKind.CLONE:
        await do(Step(name="on-failure.snapshot-delete", act=clone.drop))
    if not work.journal.record.exists_on_host:
        return False
    _remember_clearing(work)
    found = await look(work)
    if isinstance(found, ownership.Missing | ownership.Foreign):
        return False
    if found is None or not work.command.kind.creates_container:
        # What a killed restore leaves nobody can use; the next one clears it away.
        is_restored = work.command.kind is JobKind.RESTORE
        return not (is_restored and found is not None and ownership.is_remainder(found))
    if ownership.is_remainder(found):
        # Nobody can use what a killed creation leaves: it is cleared away whatever the policy.
        return not await do(Step(name="on-failure.clear", act=_clear))
    if is_acted_on(work):
        await do(Step(name="on-failure.stop", act=delete.stop))
    if _removes(work):
        return not await do(Step(name="on-failure.destroy", act=delete.delete))
    return True


def is_acted_on(work: Work) -> bool:
    """Whether the policy asks for anything."""
    return work.command.kind.creates_container and (
        _removes(work) or work.command.on_failure is not OnFailure.KEEP
    )


def _removes(work: Work) -> bool:
    record = work.journal.record
    return record.remove_on_cancel or (work.command.on_failure is OnFailure.DESTROY and _has_created(record))


def _has_created(record: RunRecord) -> bool:
    """Whether this very job made the container: only then may it destroy it."""
    return any(each.name in _MADE_IN and each.facts.get("posted_at") for each in record.steps)


def _remember_clearing(work: Work) -> None:
    """Be in the step that was clearing something away, if one was: a bare config is told by nothing else."""
    name = next((each.name for each in work.journal.record.steps if each.facts.get("clearing")), None)
    if name is not None:
        work.step = Step(name=name, act=_clear)


async def _clear(work: Work) -> Result:
    await ownership.clear(work)
    return DONE
