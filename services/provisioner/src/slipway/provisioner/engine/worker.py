"""Runs jobs: claims a run, goes through its steps, ends it. One owner at a time, none lost.

Theory of operation. A delivery of a run command is an order to become the run's owner. Steps that the record
calls finished are not done again; the one that was begun is gone into again, and looks before it acts. What
can't be done now (a node that is away) is tried again here, with a growing pause, until the retry budget is
used up; nobody else retries it. What fails ends the job: the error is written first, then the policy is
stored (stop or destroy), then the terminal record and `done` leave as one.

Who can't go on because the bus is full or away, or because this process is told to stop, gives the run up and
writes so if it can: only a claim whose owner vanished counts as one that the run has killed.

Guarantees: a terminal record is never changed; a delivery is acknowledged only after it. Non-guarantee: an
owner that was superseded, or asked to end, finds out at its next write, by the record's live subject, or by
reading the record every few seconds; not before.
"""

import asyncio
from datetime import timedelta

from nats.aio.msg import Msg
from pydantic import SecretStr

from slipway.contracts.jobs import CancelJob, GetJobSecrets, JobSecrets, RunJob, RunRecord
from slipway.contracts.problems import Failed, SlipwayError, Superseded, Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.log_bound import LIMITS, LogLimits
from slipway.provisioner.engine.records import Run, Runs
from slipway.provisioner.engine.run import LOCK_WAIT, Cancelled, Execution
from slipway.provisioner.steps.work import Work
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.errors import problem_of
from slipway.runtime.process.clock import now
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.process.logs import bind, get_logger
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology import LIVE_PREFIX

log = get_logger()

MOST_CLAIMS = 5
"""Claims without a newly finished step, after which a run is given up: it kills its workers."""
RELEASE_SECONDS = 2.0
"""How long giving a run up may take: less than a process has that is told to stop."""


class Poisoned(Failed):
    """The run ended its worker again and again."""

    code = "run.poisoned"


class Worker:
    """Handles the provisioner's commands."""

    def __init__(
        self,
        bus: Bus,
        runs: Runs,
        access: Access,
        bundles: Bundles,
        sealer: Sealer,
        *,
        retry_budget: timedelta,
        lock_wait: timedelta = LOCK_WAIT,
        host_access: HostAccessPolicy = NONE,
        log_limits: LogLimits = LIMITS,
    ) -> None:
        self._bus = bus
        self._runs = runs
        self._access = access
        self._bundles = bundles
        self._sealer = sealer
        self._retry_budget = retry_budget
        self._lock_wait = lock_wait
        self._host_access = host_access
        self._log_limits = log_limits
        self._going: dict[str, set[Execution]] = {}
        self._given_up: dict[str, int] = {}
        """Claims that this worker gave up while the bus took no word of it, by job."""

    async def listen(self) -> None:
        """Hear of cancel flags and newer owners as they are written."""
        await self._bus.connection.subscribe(
            f"{LIVE_PREFIX}{RunRecord.subject_filter()}", cb=self._record_written
        )

    async def run(self, command: RunJob, _delivery: Delivery) -> None:
        """Run a job. Idempotent: the record says what was done, and by whom."""
        with bind(job=command.job):
            if await self._is_over(command):
                return
            given_up = self._given_up.pop(command.job, None)
            run = await self._runs.claim(command, at=now(), given_up=given_up)
            if run.record.state.is_terminal:
                return
            log.info("run claimed", claim=run.record.claim, kind=command.kind)
            await self._own(command, run)

    async def cancel(self, command: CancelJob, _delivery: Delivery) -> None:
        """Cancel a job. Idempotent: the flag is set once."""
        record = await self._runs.request_cancel(command, at=now())
        log.info("cancel requested", job=command.job, state=record.state)
        self._tell(record)

    async def _is_over(self, command: RunJob) -> bool:
        """Whether a run without a record has ended: a terminal record does not live for ever."""
        if await self._runs.load(command.job) is not None:
            return False
        return (await self._bus.ask(GetJobSecrets(job=command.job))).state.is_terminal

    async def _own(self, command: RunJob, run: Run) -> None:
        journal = RunJournal(self._bus, self._runs, run, self._log_limits)
        execution = Execution(journal, self._retry_budget, self._lock_wait)
        # A command that came again is another slot's: the one before has to hear of it.
        self._going.setdefault(command.job, set()).add(execution)
        try:
            _refuse_poisoned(run.record)
            await execution.run(await self._prepare(command, journal, execution))
        except Superseded:
            raise
        except (Unavailable, asyncio.CancelledError):
            await self._release(run)
            raise
        except Poisoned as error:
            await self._bury(command, journal, execution, error)
            raise
        except Cancelled as error:
            await execution.end(JobState.CANCELLED, error.to_problem())
        except Exception as error:
            if not isinstance(error, SlipwayError):
                log.exception("a bug ended the run")
            await execution.end(JobState.FAILED, problem_of(error))
        finally:
            self._leave(command.job, execution)

    async def _release(self, run: Run) -> None:
        """Give a run up; what can't be written is remembered for as long as this process lives."""
        job, claim = run.record.id, run.record.claim
        releasing = asyncio.create_task(self._runs.release(run))
        done, _ = await asyncio.wait({releasing}, timeout=RELEASE_SECONDS)
        if not done or releasing.cancelled() or releasing.exception() is not None:
            releasing.cancel()
            self._given_up[job] = claim
            log.info("run given up, unwritten", job=job, claim=claim)

    async def _bury(
        self, command: RunJob, journal: RunJournal, execution: Execution, error: Poisoned
    ) -> None:
        """End a run that killed its workers, and before that, once, what it left on the host."""
        if journal.record.error is None:
            await execution.note_failure(error.to_problem())
            try:
                await execution.end_left(await self._prepare(command, journal, execution))
            except (Superseded, Unavailable):
                raise
            except Exception as left:  # noqa: BLE001 - whatever it is, the run has to end
                log.warning("what the run left could not be ended", why=str(left))
        await execution.end(JobState.FAILED, error.to_problem())

    def _leave(self, job: str, execution: Execution) -> None:
        others = self._going[job] - {execution}
        if others:
            self._going[job] = others
        else:
            del self._going[job]

    async def _prepare(self, command: RunJob, journal: RunJournal, execution: Execution) -> Work:
        """Gather what the run needs: access to the host, the template, the secrets."""

        async def gather() -> Work:
            told = await self._bus.ask(GetJobSecrets(job=command.job))
            archive = await self._bundles.get(command.bundle) if command.bundle else None
            return Work(
                command=command,
                cluster=await self._access.open(command.target.cluster),
                bundle=Bundle.unpack(archive) if archive else None,
                secrets=self._opened(command, told),
                journal=journal,
                bus=self._bus,
                host_access=self._host_access,
                reopen=lambda: self._access.open(command.target.cluster),
            )

        return await execution.retry_until_available(gather)

    def _opened(self, command: RunJob, told: JobSecrets) -> dict[str, SecretStr]:
        owner = command.target.container
        return {
            key: self._sealer.open(sealed, owner=owner, field=key) for key, sealed in told.secrets.items()
        }

    async def _record_written(self, message: Msg) -> None:
        job = message.subject.rpartition(".")[2]
        if job in self._going and message.data:
            self._tell(RunRecord.model_validate_json(message.data))

    def _tell(self, record: RunRecord) -> None:
        for execution in tuple(self._going.get(record.id, ())):
            execution.on_record_changed(record)


def _refuse_poisoned(record: RunRecord) -> None:
    most = MOST_CLAIMS - 1 if record.error is None else 2 * MOST_CLAIMS
    if record.claims_without_progress >= most:
        step = record.steps[-1].name if record.steps else "none"
        raise Poisoned(
            f"The run was taken up {MOST_CLAIMS} times, and its worker died each time in step {step}; "
            "see the provisioner's log.",
            step=step,
        )
