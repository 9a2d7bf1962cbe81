"""One run in one owner's hands: step after step, journaled as it goes, ended once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from slipway.contracts.jobs import RunRecord
from slipway.contracts.problems import Conflict, Failed, Problem, SlipwayError, Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner.engine import events, progress
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.records import ClaimLost, RecordBusy
from slipway.provisioner.engine.retry import RetryBudget
from slipway.provisioner.engine.step import Result, Step, WorkT, before_first, before_retry
from slipway.provisioner.engine.workflow import Workflow
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.clock import now
from slipway.runtime.process.ending import end
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Backoff, Deadline

log = get_logger()

REFRESH_SECONDS = 5.0
"""How often the record is read while a step acts: the message that it was written may get lost."""
END_SECONDS = 10.0
"""How long ending a step's work is tried again: a connection that died is soon replaced, and a host that is
away holds no cancel for longer."""
OUTCOME_SECONDS = 10.0
"""How long reading the outcome from the host may take; without an answer inventory has it read later."""
ENDS_DELIVERY = (ClaimLost, RecordBusy, BusUnavailable)
"""Errors that end this delivery, not the run: another delivery goes on."""
ResultT = TypeVar("ResultT")


class Cancelled(Conflict):
    """Someone asked for the end of the job."""

    code = "job.cancelled"


class GaveUp(Failed):
    """It could not be done for as long as the retry budget lasted."""

    code = "gave-up"

    @classmethod
    def of(cls, error: Unavailable) -> "GaveUp":
        """Return the end of the retry budget with an error, under that error's own code."""
        message = f"{error.message} It was tried again until the retry budget was used up."
        gave_up = cls(message, code=error.code)
        gave_up.details = dict(error.details)
        return gave_up


class Execution(Generic[WorkT]):
    """Does the steps of one run."""

    def __init__(self, journal: RunJournal, workflow: Workflow[WorkT], retry_limit: timedelta) -> None:
        self._journal = journal
        self._workflow = workflow
        self._retry_limit = retry_limit
        self._interruptible = asyncio.Event()
        """Set while a step that is not cancellable has begun nothing: a cancel ends it at once."""
        self._work: WorkT | None = None
        self._stop = asyncio.Event()
        """Set once a cancel was requested or a newer owner has the run."""
        self._is_superseded = False
        self._failure: Problem | None = None
        self._inherited: Mapping[str, Mapping[str, str]] = {}
        journal.on_record_changed = self.on_record_changed

    def on_record_changed(self, record: RunRecord) -> None:
        """Look for a newer owner and for the cancel flag in the record."""
        if record.claim > self._journal.record.claim:
            self._is_superseded = True
            self._stop.set()
        elif record.cancel_requested:
            self._stop.set()

    async def run(self, work: WorkT) -> None:
        """Do every step that is not done, then end the run well.

        Raises:
            Cancelled: if that was requested.
            SlipwayError: of the step that failed; the record names it.
        """
        self._work = work
        if self._journal.record.error is not None:
            raise SlipwayError("An earlier owner had recorded the failure.")
        steps = self._workflow.plan(work)
        skipped = before_retry(steps, work.command.first_step)
        self._inherited = await self._inherited_facts(work, steps)
        for step in steps:
            if progress.is_done(self._journal.record, step):
                continue
            await self._stop_if_requested(work, step)
            await self._do(work, step, is_skipped=step.name in skipped)
        await self._write_end(JobState.SUCCEEDED, exists=self._workflow.leaves_container(work), percent=100)
        log.info("run succeeded")

    async def retry_until_available(self, act: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Retry an act while its target is unavailable; an unavailable bus ends this delivery instead."""
        budget = RetryBudget(self._retry_limit, self._workflow.deadline_errors)
        loop, recovered = asyncio.get_running_loop(), set[str]()
        while True:
            began = loop.time()
            try:
                return await act()
            except ENDS_DELIVERY:
                raise
            except SlipwayError as error:
                if await self._recover(error, recovered):
                    continue
                if not isinstance(error, Unavailable):
                    raise
                pause = budget.pause_after(error, loop.time() - began)
                if pause is None:
                    raise GaveUp.of(error) from error
                log.warning("step will be retried", code=error.code, why=error.message, pause_seconds=pause)
                await self._journal.report(f"{error.message} Trying again in {pause:.0f} s.")
                await asyncio.sleep(pause)

    async def end(self, state: JobState, problem: Problem) -> None:
        """End the run badly: the error first, then the policy, then the terminal record with `done`."""
        if self._journal.record.error is None:
            await self.record_failure(problem)
            await self._end_abandoned(problem)
            problem = self._failure or problem
        else:
            problem = self._journal.record.error
            state = JobState.CANCELLED if problem.code == Cancelled.code else JobState.FAILED
        await self._write_end(state, exists=await self._settle(), problem=problem)
        log.info("run ended", state=state, code=problem.code)

    async def record_failure(self, problem: Problem) -> None:
        """Write the error, before anything is done about it."""
        last_lines = "\n".join(self._journal.last_lines)
        self._failure = self._workflow.failure_policy.describe(problem, self._work, last_lines)
        await progress.fail(self._journal, self._failure.message, error=self._failure)

    async def release(self) -> None:
        """End what is open outside of this process for the run."""
        if self._work is not None:
            await self._workflow.release(self._work)

    async def end_left(self, work: WorkT) -> None:
        """End the work outside of this process that a vanished owner began in the step that failed."""
        self._work = work
        failed = {each.name for each in self._journal.record.steps if each.status == "failed"}
        for step in self._workflow.plan(work):
            if step.name in failed and step.is_cancellable:
                work.step = step
                await self._cancel(work, step)

    async def _recover(self, error: SlipwayError, recovered: set[str]) -> bool:
        if self._work is None:
            return False
        is_repeated = error.code in recovered
        recovered.add(error.code)
        return await self._workflow.failure_policy.recover(
            self._work, error, is_repeated=is_repeated, interruptible=self._interruptible
        )

    async def _end_abandoned(self, problem: Problem) -> None:
        """End work outside of this process that the failure did not end."""
        work, step = self._work, self._work.step if self._work is not None else None
        if work is None or step is None or step.ended_by is None:
            return
        if problem.code not in {*step.ended_by, Cancelled.code}:
            await self._cancel(work, step)

    async def _do(self, work: WorkT, step: Step[WorkT], *, is_skipped: bool) -> None:
        work.step = step
        self._journal.last_lines.clear()
        if step.name != self._journal.begun_with_claim:
            await progress.begin(self._journal, step, self._inherited.get(step.name, {}))
        result = Result(status="skipped") if is_skipped else await self._until_stopped(work, step)
        progress.finish(self._journal, step, result)

    async def _until_stopped(self, work: WorkT, step: Step[WorkT]) -> Result:
        """Do a step; a cancel ends one that is cancellable, together with what it began outside."""
        acting = asyncio.create_task(self.retry_until_available(lambda: step.act(work)))
        stopping = asyncio.create_task(self._stop.wait())
        refreshing = asyncio.create_task(self._refresh_regularly())
        try:
            await asyncio.wait({acting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not step.is_cancellable:
                await self._until_interruptible(acting)
            if acting.done():
                return acting.result()
            if not self._is_superseded:
                await self._cancel(work, step, acting)
        finally:
            await end(stopping, refreshing, acting)
        raise self._stop_reason()

    async def _until_interruptible(self, acting: "asyncio.Task[Result]") -> None:
        """Wait until a step that is not cancellable ends, has begun nothing, or has lost its run."""
        while not (acting.done() or self._is_superseded or self._interruptible.is_set()):
            waiting = asyncio.create_task(self._interruptible.wait())
            await asyncio.wait({acting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    async def _refresh_regularly(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with contextlib.suppress(BusUnavailable):
                await self._journal.refresh()

    async def _cancel(self, work: WorkT, step: Step[WorkT], *acting: "asyncio.Task[Result]") -> None:
        """End what a step began outside of this process, and its act if it still runs."""
        deadline, backoff = Deadline(END_SECONDS), Backoff(first_seconds=0.2, longest_seconds=2.0)
        try:
            while True:
                try:
                    return await step.cancel(work, lambda: end(*acting))
                except Unavailable as error:
                    if deadline.has_passed or isinstance(error, ENDS_DELIVERY):
                        raise
                await backoff.wait()
        except SlipwayError as error:
            log.warning("cancelled step may still run", step=step.name, why=str(error))
            await self._journal.report(
                f"The step {step.name} was begun on the host and may still run: {error}"
            )

    async def _stop_if_requested(self, work: WorkT, step: Step[WorkT]) -> None:
        """Stop before a step if that was requested; what an earlier owner began of it is ended."""
        is_requested = self._stop.is_set() or self._journal.record.cancel_requested
        is_begun = progress.is_begun(self._journal.record, step)
        if not is_requested or (is_begun and not step.is_cancellable and not self._is_superseded):
            return
        # The end of the step before is written before anything is done about the cancel.
        await self._journal.flush()
        if is_begun and not self._is_superseded:
            work.step = step
            await self._cancel(work, step)
        raise self._stop_reason()

    def _stop_reason(self) -> SlipwayError:
        if self._is_superseded:
            return ClaimLost(f"Job {self._journal.record.id} has a newer owner.")
        return Cancelled("The job was cancelled.")

    async def _inherited_facts(
        self, work: WorkT, steps: tuple[Step[WorkT], ...]
    ) -> Mapping[str, Mapping[str, str]]:
        """Return the facts of the retried job's steps before the one it failed in, by step."""
        before, retried = before_first(steps, work.command.first_step), work.command.retry_of
        record = await self._journal.earlier(retried) if retried and before else None
        names, transient = {step.name for step in before}, self._workflow.transient_facts
        return {
            each.name: {name: fact for name, fact in each.facts.items() if name not in transient}
            for each in (record.steps if record else ())
            if each.name in names
        }

    async def _write_end(
        self, state: JobState, *, exists: bool, problem: Problem | None = None, **changes: Any
    ) -> None:
        """Write the terminal record and `done`; `exists` is whether something may be on the host."""
        changes |= await self._outcome(self._work) if exists else {}
        done = events.done(self._journal.record.model_copy(update=changes), state, error=problem)
        await self._journal.commit(done, **changes, state=state, finished_at=now(), exists_on_host=exists)

    async def _outcome(self, work: WorkT | None) -> Mapping[str, Any]:
        """Return what the record stores of the host; nothing if the host does not answer now."""
        if work is None:
            return {}
        try:
            async with asyncio.timeout(OUTCOME_SECONDS):
                return await self._workflow.read_outcome(work)
        except ENDS_DELIVERY:
            raise
        except (SlipwayError, TimeoutError) as error:
            log.warning("outcome not read", why=str(error))
            return {}

    async def _settle(self) -> bool:
        """Do what the failure policy asks for; return whether something may exist on the host now."""
        work = self._work
        if work is None:
            return self._journal.record.exists_on_host
        do = partial(self._do_policy_step, work)
        return await self._workflow.failure_policy.settle(work, do, self.retry_until_available)

    async def _do_policy_step(self, work: WorkT, step: Step[WorkT]) -> bool:
        """Do a step of the failure policy; if it fails that is recorded, and changes nothing more."""
        if progress.is_done(self._journal.record, step):
            return True
        work.step = step
        await progress.begin(self._journal, step)
        try:
            result = await self.retry_until_available(lambda: step.act(work))
        except ENDS_DELIVERY:
            raise
        except SlipwayError as error:
            log.warning("failure policy step failed", step=step.name, code=error.code, why=error.message)
            await progress.fail(self._journal, f"{step.name} could not be done: {error.message}")
            return False
        progress.finish(self._journal, step, result)
        await self._journal.flush()
        return True
