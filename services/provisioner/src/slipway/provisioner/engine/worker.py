"""Runs jobs: claims a run, does its steps, ends it. One owner at a time, none lost.

Theory of operation and guarantees: docs/architecture/run-engine.md. An owner that can't go on because the bus
is full or away, or because this process shall stop, releases the run and writes so if it can: only a
claim whose owner vanished counts as one that the run has killed.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import Generic

from nats.aio.msg import Msg

from slipway.contracts.jobs import CancelJob, RunJob, RunRecord
from slipway.contracts.problems import Failed, Rejected, SlipwayError, Superseded, Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.log_bound import LIMITS, LogLimits
from slipway.provisioner.engine.records import Run, Runs
from slipway.provisioner.engine.run import Cancelled, Execution
from slipway.provisioner.engine.step import WorkT
from slipway.provisioner.engine.workflow import Questions, Workflow
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.errors import problem_of
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import bind, get_logger
from slipway.runtime.topology.declared import LIVE_PREFIX

log = get_logger()

MOST_CLAIMS = 5
"""Claims without a newly finished step, after which a run is given up: it kills its workers."""
RELEASE_SECONDS = 2.0
"""How long releasing a run may take: less than the time that a process has to stop."""


class Poisoned(Failed):
    """The run ended its worker again and again."""

    code = "run.poisoned"


class Worker(Generic[WorkT]):
    """Handles the provisioner's commands."""

    def __init__(
        self,
        bus: Bus,
        runs: Runs,
        workflow: Workflow[WorkT],
        *,
        retry_budget: timedelta,
        log_limits: LogLimits = LIMITS,
    ) -> None:
        self._bus = bus
        self._runs = runs
        self._workflow = workflow
        self._retry_budget = retry_budget
        self._log_limits = log_limits
        self._executions: defaultdict[str, set[Execution[WorkT]]] = defaultdict(set)
        self._released: dict[str, int] = {}
        """Claims that this worker released while the bus did not store that, by job."""

    async def listen(self) -> None:
        """Subscribe to records as they are written: to cancel flags and newer owners."""
        await self._bus.connection.subscribe(
            f"{LIVE_PREFIX}{RunRecord.subject_filter()}", cb=self._record_written
        )

    async def run(self, command: RunJob, _delivery: Delivery) -> None:
        """Run a job. Idempotent: the record says what was done, and by whom."""
        with bind(job=command.job):
            questions = self._workflow.ask(command)
            try:
                await self._run(command, questions)
            finally:
                await questions.aclose()

    async def cancel(self, command: CancelJob, _delivery: Delivery) -> None:
        """Cancel a job. Idempotent: the flag is set once."""
        record = await self._runs.request_cancel(command, at=now())
        log.info("cancel requested", job=command.job, state=record.state)
        self._notify(record)

    async def _run(self, command: RunJob, questions: Questions[WorkT]) -> None:
        stored = await self._runs.load(command.job)
        state = await _state_by_inventory(questions)
        # A run without a record may have ended: a terminal record does not live for ever.
        if stored is None and state is not None and state.is_terminal:
            return
        released, first = self._released.pop(command.job, None), self._workflow.first(command)
        run = await self._runs.claim(command, at=now(), stored=stored, released=released, first=first)
        if run.record.state.is_terminal:
            return
        log.info("run claimed", claim=run.record.claim, kind=command.kind)
        await self._execute(command, run, questions)

    async def _execute(self, command: RunJob, run: Run, questions: Questions[WorkT]) -> None:
        journal = RunJournal(self._bus, self._runs, run, self._log_limits)
        execution = Execution(journal, self._workflow, self._retry_budget)
        # A command that is delivered again runs in another slot: its former execution must learn of that.
        self._executions[command.job].add(execution)
        try:
            _refuse_poisoned(run.record)
            await execution.run(await self._prepare(questions, journal, execution))
        except Superseded:
            raise
        except (Unavailable, asyncio.CancelledError):
            await self._release(journal)
            raise
        except Poisoned as error:
            await self._end_poisoned(questions, journal, execution, error)
            raise
        except Cancelled as error:
            await execution.end(JobState.CANCELLED, error.to_problem())
        except Exception as error:
            if not isinstance(error, SlipwayError):
                log.exception("run ended by a bug")
            await execution.end(JobState.FAILED, problem_of(error))
        finally:
            await journal.aclose()
            await execution.release()
            self._executions[command.job].discard(execution)
            if not self._executions[command.job]:
                del self._executions[command.job]

    async def _release(self, journal: RunJournal) -> None:
        """Release a run; if that can't be written it is remembered for as long as this process lives."""
        job, claim = journal.record.id, journal.record.claim
        releasing = asyncio.create_task(journal.release())
        done, _ = await asyncio.wait({releasing}, timeout=RELEASE_SECONDS)
        if not done or releasing.cancelled() or releasing.exception() is not None:
            releasing.cancel()
            self._released[job] = claim
            log.info("release of a run not written", job=job, claim=claim)

    async def _end_poisoned(
        self, questions: Questions[WorkT], journal: RunJournal, execution: Execution[WorkT], error: Poisoned
    ) -> None:
        """End a run that killed its workers; before that, once, end the work that it left on the host."""
        if journal.record.error is None:
            await execution.record_failure(error.to_problem())
            try:
                await execution.end_left(await self._prepare(questions, journal, execution))
            except (Superseded, Unavailable):
                raise
            except Exception as failure:  # noqa: BLE001 - whatever it is, the run has to end
                log.warning("work left on the host may still run", why=str(failure))
        await execution.end(JobState.FAILED, error.to_problem())

    async def _prepare(
        self, questions: Questions[WorkT], journal: RunJournal, execution: Execution[WorkT]
    ) -> WorkT:
        return await execution.retry_until_available(lambda: questions.prepare(journal))

    async def _record_written(self, message: Msg) -> None:
        job = message.subject.rpartition(".")[2]
        if job in self._executions and message.data:
            self._notify(RunRecord.model_validate_json(message.data))

    def _notify(self, record: RunRecord) -> None:
        for execution in tuple(self._executions.get(record.id, ())):
            execution.on_record_changed(record)


async def _state_by_inventory(questions: Questions[WorkT]) -> JobState | None:
    """Return a job's state; None if inventory refuses it, which the run ends with when it is prepared.

    Raises:
        Unavailable: if inventory is paused, or does not answer: then nothing is claimed.
    """
    try:
        return await questions.job_state()
    except Rejected:
        return None


def _refuse_poisoned(record: RunRecord) -> None:
    most = MOST_CLAIMS - 1 if record.error is None else 2 * MOST_CLAIMS
    if record.claims_without_progress >= most:
        step = record.steps[-1].name if record.steps else "none"
        raise Poisoned(
            f"The run was claimed {MOST_CLAIMS} times, and its worker died each time in step {step}; "
            "see the provisioner's log.",
            step=step,
        )
