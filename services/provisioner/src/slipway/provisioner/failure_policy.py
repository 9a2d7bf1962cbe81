"""What becomes of a failure: recovery, evidence, and the end of the container.

What the policy asks for is done in steps like all others: recorded, retried for as long as the retry budget
lasts, continued by a later owner. Each is tried on its own; the failure of one does not prevent the others.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.problems import Problem, SlipwayError
from slipway.contracts.values import OnFailure
from slipway.provisioner.engine.events import LONGEST_MESSAGE
from slipway.provisioner.engine.run import ENDS_DELIVERY
from slipway.provisioner.engine.step import DONE, Result, Step
from slipway.provisioner.engine.workflow import Do, Retry
from slipway.provisioner.host import locks, ownership
from slipway.provisioner.host.ownership import ClearingFacts
from slipway.provisioner.host.tasks import TaskFacts
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import clone, delete
from slipway.proxmox.errors import AccessRefused, ContainerLocked
from slipway.proxmox.upid import Upid

LAST_LINES = "last_lines"
_LONGEST_LINES = 32 * 1024
_MOST_ERRORS = 50
_CREATING = frozenset({"create.task", "clone.task"})


def with_evidence(problem: Problem, work: Work | None, last_lines: str) -> Problem:
    """Return the problem with its step, command, task and last lines; of bounded size."""
    evidence = {
        "step": work.step_name if work else "",
        "upid": work.facts(TaskFacts).upid or "" if work else "",
        LAST_LINES: last_lines,
    }
    details = {name: text for name, text in evidence.items() if text} | dict(problem.details)
    command = _command(details)
    return problem.model_copy(
        update={
            "message": problem.message[:LONGEST_MESSAGE],
            "errors": tuple(
                each.model_copy(update={"message": each.message[:LONGEST_MESSAGE]})
                for each in problem.errors[:_MOST_ERRORS]
            ),
            "details": {
                name: text[: _LONGEST_LINES if name == LAST_LINES else LONGEST_MESSAGE]
                for name, text in ({"command": command} | details if command else details).items()
            },
        }
    )


def _command(details: Mapping[str, str]) -> str:
    """Return what was sent to the host: a command, else a request, else a task."""
    if command := details.get("command"):
        return command
    if "method" in details and "path" in details:
        return f"{details['method']} {details['path']}"
    upid = details.get("upid")
    return f"{Upid(upid).type} {Upid(upid).id}".strip() if upid else ""


class ContainerFailurePolicy:
    """Stops or removes the container of a creation that failed, if the job says so."""

    describe = staticmethod(with_evidence)

    def __init__(self, lock_wait: timedelta) -> None:
        self._lock_wait = lock_wait

    async def recover(
        self, work: Work, error: SlipwayError, *, is_repeated: bool, interruptible: asyncio.Event
    ) -> bool:
        """Renew a refused access once, wait for a lock of another task; return whether to retry at once."""
        if isinstance(error, AccessRefused) and not is_repeated:
            await work.renew_access()
            return True
        if isinstance(error, ContainerLocked) and work.step is not None:
            await locks.wait(work, error, limit=self._lock_wait, interruptible=interruptible)
            return True
        return False

    async def settle(self, work: Work, do: Do[Work], retry: Retry) -> bool:
        """Do what the policy asks for; return whether something may exist on the host now."""
        if work.command.kind is JobKind.CLONE:
            await do(Step(name="on-failure.snapshot-delete", act=clone.delete_snapshot))
        if not work.journal.record.exists_on_host:
            return False
        _enter_clearing_step(work)
        state = await _look(work, retry)
        if isinstance(state, ownership.Missing | ownership.Foreign):
            return False
        if state is None or not work.command.kind.creates_container:
            # Nobody can use the remainder of a killed restore; the next one clears it away.
            is_restore = work.command.kind is JobKind.RESTORE
            return not (is_restore and state is not None and ownership.is_remainder(state))
        if ownership.is_remainder(state):
            # Nobody can use the remainder of a killed creation: it is cleared away whatever the policy.
            return not await do(Step(name="on-failure.clear", act=_clear))
        if _acts(work):
            await do(Step(name="on-failure.stop", act=delete.stop))
        if _removes(work):
            return not await do(Step(name="on-failure.destroy", act=delete.delete))
        return True


async def _look(work: Work, retry: Retry) -> ownership.Ownership | None:
    """Return what is on the host; None if that is unknown."""
    look = partial(delete.look_when_idle, work)
    try:
        # Where the policy does nothing, one try is enough.
        return await (retry(look) if _acts(work) else look())
    except ENDS_DELIVERY:
        raise
    except SlipwayError as error:
        await work.journal.report(f"The state of the container on the host is unknown: {error.message}")
        return None


def _acts(work: Work) -> bool:
    """Return whether the policy asks for anything."""
    return work.command.kind.creates_container and (
        _removes(work) or work.command.on_failure is not OnFailure.KEEP
    )


def _removes(work: Work) -> bool:
    record = work.journal.record
    return record.remove_on_cancel or (work.command.on_failure is OnFailure.DESTROY and _has_created(record))


def _has_created(record: RunRecord) -> bool:
    """Return whether this very job made the container: only then may it destroy it."""
    return any(each.name in _CREATING and TaskFacts.read(each.facts).posted_at for each in record.steps)


def _enter_clearing_step(work: Work) -> None:
    """Enter the step that was clearing something away, if one was: nothing else identifies a bare config."""
    steps = work.journal.record.steps
    name = next((each.name for each in steps if ClearingFacts.read(each.facts).clearing), None)
    if name is not None:
        work.step = Step(name=name, act=_clear)


async def _clear(work: Work) -> Result:
    await ownership.clear(work)
    return DONE
