"""One run in one owner's hands: step after step, told as it goes, ended once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from slipway.contracts.jobs import JobPhase, RunRecord, StepStatus
from slipway.contracts.message import Event
from slipway.contracts.problems import Conflict, Failed, Problem, SlipwayError, Unavailable
from slipway.contracts.values import JobKind, JobState, OnFailure, Phase
from slipway.provisioner import events, pipelines
from slipway.provisioner.access import Access
from slipway.provisioner.phases import clones, ownership, remove, sync, tasks
from slipway.provisioner.phases.work import Result, Step, Work
from slipway.provisioner.progress import Story
from slipway.provisioner.runs import ClaimLost, RecordBusy
from slipway.proxmox.errors import AccessRefused
from slipway.runtime.clock import now
from slipway.runtime.ending import end
from slipway.runtime.logs import get_logger
from slipway.runtime.problems import BusUnavailable

log = get_logger()

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
_MADE_IN = frozenset({"create.task", "clone.task"})
ResultT = TypeVar("ResultT")


class Cancelled(Conflict):
    """Someone asked for the end of the job."""

    code = "job.cancelled"


class Execution:
    """Goes through the steps."""

    def __init__(self, story: Story, patience: timedelta, access: Access) -> None:
        self._story = story
        self._patience = patience
        self._access = access
        self._work: Work | None = None
        self._told = asyncio.Event()
        self._is_superseded = False

    def hear(self, record: RunRecord) -> None:
        """Take what was written into the record, by whomever."""
        if record.claim > self._story.record.claim:
            self._is_superseded = True
            self._told.set()
        elif record.cancel_requested:
            self._told.set()

    async def run(self, work: Work) -> None:
        """Do every step that is not done, then end the run well.

        Raises:
            Cancelled: if that was asked for.
            SlipwayError: of the step that failed; the record names it.
        """
        self._work = work
        if self._story.record.error is not None:
            raise SlipwayError("An earlier owner had recorded the failure.")
        steps = pipelines.plan(work)
        skipped = before_retry(steps, work.command.first_step)
        for step in steps:
            if self._is_done(step):
                continue
            self._refuse_if_told()
            await self._do(work, step, is_skipped=step.name in skipped)
        await self._succeed()

    async def persist(self, act: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Try until it can be done; time's errors only, and not the bus's: those end this delivery."""
        loop = asyncio.get_running_loop()
        ends, pause, is_renewed = loop.time() + self._patience.total_seconds(), FIRST_PAUSE_SECONDS, False
        while True:
            try:
                return await act()
            except (RecordBusy, BusUnavailable):
                raise
            except AccessRefused:
                if is_renewed or self._work is None:
                    raise
                is_renewed = True
                self._work.cluster = await self._access.open(self._work.target.cluster)
            except Unavailable as error:
                if loop.time() + pause > ends:
                    raise GaveUp.of(error) from error
                log.warning("not now", code=error.code, why=error.message, pause_seconds=pause)
                await self._story.tell(f"{error.message} Trying again in {pause:.0f} s.")
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def end(self, state: JobState, problem: Problem) -> None:
        """End the run badly: the error first, then the policy, then the terminal record with `done`."""
        record = self._story.record
        if record.error is None:
            problem = self._with_evidence(problem)
            steps = tuple(
                events.ended(each, "failed") if each.status == "started" else each for each in record.steps
            )
            failed = [each for each in steps if each.status == "failed"]
            told = [events.step(record, each, message=problem.message) for each in failed[-1:]]
            await self._story.commit(*told, error=problem, steps=steps)
        else:
            problem = record.error
            state = JobState.CANCELLED if problem.code == Cancelled.code else JobState.FAILED
        exists = await self._keep_policy()
        done = events.done(self._story.record, state, error=problem)
        await self._story.commit(done, state=state, finished_at=now(), exists_on_host=exists)
        log.info("run ended", state=state, code=problem.code)

    def _with_evidence(self, problem: Problem) -> Problem:
        """Give the problem with the step that failed, its task and its last lines."""
        step = self._work.step if self._work else None
        evidence = {
            "step": step.name if step else "",
            "upid": self._work.facts().get("upid", "") if self._work else "",
            "last_lines": "\n".join(self._story.last_lines),
        }
        told = {name: text for name, text in evidence.items() if text}
        return problem.model_copy(update={"details": {**told, **problem.details}})

    async def _do(self, work: Work, step: Step, *, is_skipped: bool) -> None:
        work.step = step
        self._story.last_lines.clear()
        begun = await self._begin(step)
        if is_skipped:
            await self._finish(step, begun, Result(status="skipped"))
            return
        result = await self._until_told(work, step)
        await self._finish(step, begun, result)

    async def _until_told(self, work: Work, step: Step) -> Result:
        """Do a step; a cancel ends one that may be ended, together with its work in the guest."""
        acting = asyncio.create_task(self.persist(lambda: step.act(work)))
        told = asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait({acting, told}, return_when=asyncio.FIRST_COMPLETED)
            if not acting.done() and not (step.is_cancellable or self._is_superseded):
                await asyncio.wait({acting})
            if acting.done():
                return acting.result()
        finally:
            await end(told, acting)
        if not self._is_superseded:
            await self._end_remote(work, step)
        self._refuse_if_told()
        raise Cancelled("The job was cancelled.")

    async def _end_remote(self, work: Work, step: Step) -> None:
        """End what a cancelled step began: its work in the guest, its task on the node."""
        try:
            if step.phase is Phase.SYNC:
                await sync.end(work)
            else:
                await tasks.cancel(work)
        except SlipwayError as error:
            log.warning("what was begun may still run", step=step.name, why=str(error))
            await self._story.tell(f"The step {step.name} was begun on the host and may still run: {error}")

    def _refuse_if_told(self) -> None:
        if self._is_superseded:
            raise ClaimLost(f"Job {self._story.record.id} has a newer owner.")
        if self._story.record.cancel_requested or self._told.is_set():
            raise Cancelled("The job was cancelled.")

    def _is_done(self, step: Step) -> bool:
        return any(
            each.name == step.name and each.status in {"finished", "skipped"}
            for each in self._story.record.steps
        )

    async def _begin(self, step: Step) -> StepStatus:
        record = self._story.record
        before = next((each for each in record.steps if each.name == step.name), None)
        begun = (
            before.model_copy(update={"status": "started", "attempts": before.attempts + 1})
            if before
            else StepStatus(
                name=step.name, phase=step.phase, started_at=now(), is_cancellable=step.is_cancellable
            )
        )
        facts: list[Event] = []
        percent = max(record.percent, step.percent)
        if step.opens_phase and step.phase is not None and before is None:
            told = JobPhase(id=record.id, phase=step.phase, status="started", percent=step.percent, at=now())
            facts.append(told)
        opened = record.model_copy(update={"percent": percent, "phase": step.phase})
        facts.append(events.step(opened, begun, of=step))
        steps = (*(each for each in record.steps if each.name != step.name), begun)
        await self._story.commit(*facts, steps=steps, phase=step.phase, percent=percent)
        return begun

    async def _finish(self, step: Step, begun: StepStatus, result: Result) -> None:
        record = self._story.record
        percent = max(record.percent, step.percent_after)
        current = next(each for each in record.steps if each.name == begun.name)
        ended = events.ended(current, result.status).model_copy(update={"message": result.message})
        told = record.model_copy(update={"percent": percent})
        facts: list[Event] = [events.step(told, ended, of=step, message=result.message)]
        if step.closes_phase and step.phase is not None:
            facts.append(
                JobPhase(id=record.id, phase=step.phase, status="finished", percent=percent, at=now())
            )
        steps = tuple(ended if each.name == ended.name else each for each in record.steps)
        await self._story.commit(*facts, steps=steps, percent=percent, claims_without_progress=0)

    async def _succeed(self) -> None:
        exists = self._story.record.kind is not JobKind.DELETE
        await self._story.commit(
            events.done(self._story.record, JobState.SUCCEEDED),
            state=JobState.SUCCEEDED,
            percent=100,
            finished_at=now(),
            exists_on_host=exists,
        )
        log.info("run succeeded")

    async def _keep_policy(self) -> bool:
        """Stop or destroy what failed, if that is wished; whether something may exist on the host now."""
        record, work = self._story.record, self._work
        if not record.exists_on_host or work is None:
            return record.exists_on_host
        try:
            found = await ownership.look(work)
            if record.kind is JobKind.CLONE:
                await self._act(work, "on-failure.snapshot-delete", clones.drop)
            if isinstance(found, ownership.Missing | ownership.Foreign):
                return False
            if record.kind.makes and ownership.is_remainder(found):
                # Nobody can use what a killed creation leaves: it is cleared away whatever the policy.
                await ownership.clear(work)
                return False
            destroys = record.destroys or (
                work.command.on_failure is OnFailure.DESTROY and _has_created(record)
            )
            if record.kind.makes and (destroys or work.command.on_failure is not OnFailure.KEEP):
                await self._act(work, "on-failure.stop", remove.stop)
                if destroys:
                    await self._act(work, "on-failure.destroy", remove.delete)
                    return False
        except SlipwayError as error:
            if isinstance(error, ClaimLost | RecordBusy | BusUnavailable):
                raise
            log.warning("the policy could not be kept", code=error.code, why=error.message)
            policy = "destroy" if record.destroys else work.command.on_failure
            await self._story.tell(f"on_failure={policy} could not be kept: {error.message}")
        return True

    async def _act(self, work: Work, name: str, act: Callable[[Work], Awaitable[Result]]) -> None:
        """Do something that is no step of the job's."""
        work.step = Step(name=name, act=act)
        await act(work)


class GaveUp(Failed):
    """It could not be done for as long as the patience lasted."""

    code = "gave-up"

    @classmethod
    def of(cls, error: Unavailable) -> "GaveUp":
        """Give the end of the patience with an error, under that error's own code."""
        return cls(f"{error.message} It was tried again until the patience was over.", code=error.code)


def _has_created(record: RunRecord) -> bool:
    """Whether this very job made the container: only then may it destroy it."""
    return any(each.name in _MADE_IN and each.facts.get("posted_at") for each in record.steps)


def before_retry(steps: tuple[Step, ...], first: str | None) -> set[str]:
    """Name the steps that a retry need not do: those before the failed one, except what power undoes."""
    place = next((i for i, step in enumerate(steps) if first in {step.name, step.phase}), 0)
    return {step.name for step in steps[:place] if not step.is_repeated}
