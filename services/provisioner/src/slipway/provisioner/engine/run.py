"""One run in one owner's hands: step after step, told as it goes, ended once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.problems import Conflict, Failed, Problem, SlipwayError, Unavailable
from slipway.contracts.values import JobState, Phase
from slipway.provisioner import failure_policy, pipelines
from slipway.provisioner.engine import events, states
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.records import ClaimLost, RecordBusy
from slipway.provisioner.engine.retry import RetryBudget
from slipway.provisioner.host import locks, ownership, readback, tasks
from slipway.provisioner.steps import delete, sync
from slipway.provisioner.steps.work import Result, Step, Work
from slipway.proxmox.detached import Absent
from slipway.proxmox.errors import AccessRefused, ContainerLocked
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.clock import now
from slipway.runtime.process.ending import end
from slipway.runtime.process.logs import get_logger

log = get_logger()

LOCK_WAIT = timedelta(hours=2)
"""How long a job waits for a container that another task has locked."""
LOOK_SECONDS = 5.0
"""How often the record is read while a step acts: the word that it was written may get lost."""
READ_BACK_SECONDS = 10.0
"""How long reading the config back may take; without an answer inventory has it read later."""
_OURS_NO_MORE = (ClaimLost, RecordBusy, BusUnavailable)
"""What ends this delivery: another one goes on."""
ResultT = TypeVar("ResultT")


class Cancelled(Conflict):
    """Someone asked for the end of the job."""

    code = "job.cancelled"


class Execution:
    """Goes through the steps."""

    def __init__(
        self, journal: RunJournal, retry_budget: timedelta, lock_wait: timedelta = LOCK_WAIT
    ) -> None:
        self._journal = journal
        self._retry_budget = retry_budget
        self._lock_wait = lock_wait
        self._is_open = asyncio.Event()
        """Set while a step waits for a lock: it has begun nothing, so a cancel ends it at once."""
        self._work: Work | None = None
        self._told = asyncio.Event()
        self._is_superseded = False
        self._noted: Problem | None = None
        self._known: Mapping[str, Mapping[str, str]] = {}
        journal.on_record_changed = self.on_record_changed

    def on_record_changed(self, record: RunRecord) -> None:
        """Take what was written into the record, by whomever."""
        if record.claim > self._journal.record.claim:
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
        if self._journal.record.error is not None:
            raise SlipwayError("An earlier owner had recorded the failure.")
        planned = pipelines.plan(work)
        skipped = before_retry(planned, work.command.first_step)
        self._known = await self._known_before(work, planned)
        for step in planned:
            if states.is_done(self._journal.record, step):
                continue
            await self._stop_if_requested(work, step)
            await self._do(work, step, is_skipped=step.name in skipped)
        await self._succeed()

    async def retry_until_available(self, act: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Try until it can be done; time's errors only, and not the bus's: those end this delivery."""
        loop, retry_budget, is_renewed = asyncio.get_running_loop(), RetryBudget(self._retry_budget), False
        while True:
            began = loop.time()
            try:
                return await act()
            except _OURS_NO_MORE:
                raise
            except AccessRefused:
                if is_renewed or self._work is None:
                    raise
                is_renewed = True
                await self._work.renew_access()
            except ContainerLocked as error:
                if self._work is None or self._work.step is None:
                    raise
                await locks.wait(self._work, error, limit=self._lock_wait, is_open=self._is_open)
            except Unavailable as error:
                pause = retry_budget.pause_after(error, loop.time() - began)
                if pause is None:
                    raise GaveUp.of(error) from error
                log.warning("not now", code=error.code, why=error.message, pause_seconds=pause)
                await self._journal.tell(f"{error.message} Trying again in {pause:.0f} s.")
                await asyncio.sleep(pause)

    async def end(self, state: JobState, problem: Problem) -> None:
        """End the run badly: the error first, then the policy, then the terminal record with `done`."""
        if self._journal.record.error is None:
            await self.note_failure(problem)
            await self._end_given_up(problem)
            problem = self._noted or problem
        else:
            problem = self._journal.record.error
            state = JobState.CANCELLED if problem.code == Cancelled.code else JobState.FAILED
        exists = await self._keep_policy()
        read = await self._read_back() if exists else {}
        done = events.done(self._journal.record.model_copy(update=read), state, error=problem)
        await self._journal.commit(done, **read, state=state, finished_at=now(), exists_on_host=exists)
        log.info("run ended", state=state, code=problem.code)

    async def note_failure(self, problem: Problem) -> None:
        """Write the error, before anything is done about it."""
        told = failure_policy.with_evidence(problem, self._work, "\n".join(self._journal.last_lines))
        await states.fail(self._journal, told.message, error=told)
        self._noted = told

    async def end_left(self, work: Work) -> None:
        """End what an owner that vanished had begun on the host in the step that failed."""
        self._work = work
        failed = {each.name for each in self._journal.record.steps if each.status == "failed"}
        for step in pipelines.plan(work):
            if step.name in failed and step.is_cancellable:
                work.step = step
                await self._end_remote(work, step)

    async def _end_given_up(self, problem: Problem) -> None:
        """End the work in the guest that was not waited for to its end."""
        work = self._work
        is_ended = problem.code in {sync.ScriptFailed.code, sync.PackagesFailed.code, Cancelled.code}
        if work is not None and work.step is not None and work.step.phase is Phase.SYNC and not is_ended:
            await self._end_remote(work, work.step)

    async def _do(self, work: Work, step: Step, *, is_skipped: bool) -> None:
        work.step = step
        self._journal.last_lines.clear()
        await states.begin(self._journal, step, self._known.get(step.name, {}))
        result = Result(status="skipped") if is_skipped else await self._until_told(work, step)
        await states.finish(self._journal, step, result)

    async def _until_told(self, work: Work, step: Step) -> Result:
        """Do a step; a cancel ends one that may be ended, together with its work in the guest."""
        acting = asyncio.create_task(self.retry_until_available(lambda: step.act(work)))
        told = asyncio.create_task(self._told.wait())
        looking = asyncio.create_task(self._keep_looking())
        try:
            await asyncio.wait({acting, told}, return_when=asyncio.FIRST_COMPLETED)
            while not (acting.done() or step.is_cancellable or self._is_superseded or self._is_open.is_set()):
                opening = asyncio.create_task(self._is_open.wait())
                await asyncio.wait({acting, opening}, return_when=asyncio.FIRST_COMPLETED)
                opening.cancel()
            if acting.done():
                return acting.result()
            if not self._is_superseded:
                await self._end_remote(work, step, acting)
        finally:
            await end(told, looking, acting)
        raise self._why_told()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(BusUnavailable):
                await self._journal.look()

    async def _end_remote(self, work: Work, step: Step, *acting: "asyncio.Task[Result]") -> None:
        """End what a cancelled step began: its work in the guest, its task on the node."""
        try:
            if step.phase is Phase.SYNC:
                # At once: the way back from a connection may take as long as we have.
                state, _ = await asyncio.gather(sync.end(work), end(*acting))
                if isinstance(state, Absent):
                    # It may have been on its way into the guest.
                    await sync.end(work)
            else:
                await end(*acting)
                await tasks.cancel(work)
        except SlipwayError as error:
            log.warning("what was begun may still run", step=step.name, why=str(error))
            await self._journal.tell(f"The step {step.name} was begun on the host and may still run: {error}")

    async def _stop_if_requested(self, work: Work, step: Step) -> None:
        """Go no further once that was asked for; what an earlier owner began of the next step is ended."""
        is_asked = self._told.is_set() or self._journal.record.cancel_requested
        is_begun = states.is_begun(self._journal.record, step)
        if not is_asked or (is_begun and not step.is_cancellable and not self._is_superseded):
            return
        if is_begun and not self._is_superseded:
            work.step = step
            await self._end_remote(work, step)
        raise self._why_told()

    def _why_told(self) -> SlipwayError:
        if self._is_superseded:
            return ClaimLost(f"Job {self._journal.record.id} has a newer owner.")
        return Cancelled("The job was cancelled.")

    async def _known_before(self, work: Work, planned: tuple[Step, ...]) -> Mapping[str, Mapping[str, str]]:
        """Give what the job that is retried had found out in the steps before the one it failed in."""
        before, retried = before_first(planned, work.command.first_step), work.command.retry_of
        record = await self._journal.earlier(retried) if retried and before else None
        names = {step.name for step in before}
        return {
            each.name: {name: fact for name, fact in each.facts.items() if name not in tasks.PASSING}
            for each in (record.steps if record else ())
            if each.name in names
        }

    async def _succeed(self) -> None:
        exists = self._journal.record.kind is not JobKind.DELETE
        read = await self._read_back() if exists else {}
        await self._journal.commit(
            events.done(self._journal.record.model_copy(update=read), JobState.SUCCEEDED),
            **read,
            state=JobState.SUCCEEDED,
            percent=100,
            finished_at=now(),
            exists_on_host=exists,
        )
        log.info("run succeeded")

    async def _read_back(self) -> Mapping[str, Any]:
        """Give what the record keeps of the container's config; nothing if its host does not answer now."""
        if self._work is None:
            return {}
        try:
            async with asyncio.timeout(READ_BACK_SECONDS):
                return await readback.changes(self._work)
        except _OURS_NO_MORE:
            raise
        except (SlipwayError, TimeoutError) as error:
            log.warning("config not read back", why=str(error))
            return {}

    async def _keep_policy(self) -> bool:
        """Do what the policy asks for; whether something may exist on the host now."""
        if self._work is None:
            return self._journal.record.exists_on_host
        return await failure_policy.keep_policy(self._work, self._do_after, self._look_after)

    async def _do_after(self, step: Step) -> bool:
        """Do a step of the failure policy; its failure is told, and changes nothing more."""
        work = self._work
        if work is None or states.is_done(self._journal.record, step):
            return work is not None
        work.step = step
        await states.begin(self._journal, step)
        try:
            result = await self.retry_until_available(lambda: step.act(work))
        except _OURS_NO_MORE:
            raise
        except SlipwayError as error:
            log.warning("the policy could not be stored", step=step.name, code=error.code, why=error.message)
            await states.fail(self._journal, f"{step.name} could not be done: {error.message}")
            return False
        await states.finish(self._journal, step, result)
        return True

    async def _look_after(self, work: Work) -> ownership.Found | None:
        async def look() -> ownership.Found:
            return await delete.look_at_rest(work)

        try:
            # For a job that asks for nothing one look has to do.
            return await (self.retry_until_available(look) if failure_policy.is_acted_on(work) else look())
        except _OURS_NO_MORE:
            raise
        except SlipwayError as error:
            await self._journal.tell(f"What is on the host now could not be seen: {error.message}")
            return None


class GaveUp(Failed):
    """It could not be done for as long as the retry budget lasted."""

    code = "gave-up"

    @classmethod
    def of(cls, error: Unavailable) -> "GaveUp":
        """Give the end of the retry budget with an error, under that error's own code."""
        message = f"{error.message} It was tried again until the retry budget was used up."
        gave_up = cls(message, code=error.code)
        gave_up.details = dict(error.details)
        return gave_up


def before_first(steps: tuple[Step, ...], first: str | None) -> tuple[Step, ...]:
    """Give the steps before the one, or the phase, with which a retry begins."""
    place = next((i for i, step in enumerate(steps) if first in {step.name, step.phase}), 0)
    origin = steps[place].retried_from
    return before_first(steps, origin) if origin else steps[:place]


def before_retry(steps: tuple[Step, ...], first: str | None) -> set[str]:
    """Name the steps that a retry need not do: those before the failed one, except what power undoes."""
    return {step.name for step in before_first(steps, first) if not step.is_repeated}
