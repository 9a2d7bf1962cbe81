"""The run record: loaded, claimed and committed. No other module writes one.

Theory of operation and guarantees: docs/architecture/run-engine.md. A record is the last message on its
subject. After a refused or unknown write it is read again from the leader:

- It has our commit id: the write was committed and only its answer was lost. If the bus stores it just after
  that look, it refuses our next attempt, which has the same id, and the next look finds the first.
- It has our claim and another commit id: someone set the cancel flag. It is taken over, and the write is made
  again.
- It has a higher claim: the run has a newer owner, `ClaimLost`. Its former owner touches nothing any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway.contracts.jobs import CancelJob, RunJob, RunRecord
from slipway.contracts.message import Event, Moment
from slipway.contracts.problems import Problem, ProblemKind, Superseded, Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner.engine import events
from slipway.provisioner.engine.states import Act, act_to, next_state
from slipway.provisioner.engine.step import Step
from slipway.runtime.bus.client import Bus, WriteRefused, WriteUnknown
from slipway.runtime.process.ids import new_id
from slipway.runtime.topology.declared import RECORD_LIFETIME

_ATTEMPTS = 5
"""Writes of one commit; more than one only after a cancel flag or a lost answer."""


class ClaimLost(Superseded):
    """The run has a newer owner."""

    code = "run.claim-lost"


class RecordBusy(Unavailable):
    """The record could not be written now; the delivery comes again."""

    code = "run.record-busy"


@dataclass(slots=True)
class Run:
    """A record that this worker has claimed, and the sequence that fences its next write."""

    record: RunRecord
    sequence: int
    begun: str | None = None
    """The step that began with the claim."""


class Runs:
    """Run records on the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def load(self, job: str) -> tuple[RunRecord, int] | None:
        """Read a record from the leader; None if the job never ran."""
        return await self._bus.last(RunRecord, job)

    async def claim(
        self,
        command: RunJob,
        *,
        at: Moment,
        stored: tuple[RunRecord, int] | None = None,
        released: int | None = None,
        first: Step[Any] | None = None,
    ) -> Run:
        """Claim the run, from its former owner if it has one. Return a terminal record as it is, unclaimed.

        Args:
            command: the run's.
            at: now.
            stored: its record as it was just loaded; None if it never ran.
            released: a claim whose owner is alive: it released the run, and could not write so.
            first: the step that begins in the same write if the job never ran.
        """
        commit = new_id()
        begun: str | None = None
        for _ in range(_ATTEMPTS):
            record, sequence = stored or (None, 0)
            if record is not None and (record.state.is_terminal or record.commit == commit):
                return Run(record, sequence, begun)
            claimed = self._claimed(command, record, commit, at, released)
            caused: Sequence[Event] = ()
            if first is not None and record is None:
                caused, changes = events.beginning(claimed, first)
                claimed, begun = claimed.model_copy(update=changes), first.name
            written = await self._try(claimed, caused, sequence)
            if written is not None:
                return Run(claimed, written, begun)
            stored = await self.load(command.job)
        raise RecordBusy(f"The record of job {command.job} is being written by others.", job=command.job)

    async def commit(self, run: Run, caused: Sequence[Event], **changes: Any) -> None:
        """Write the record with these changes and the events they cause, all or nothing.

        Raises:
            IllegalTransition: if the run has ended; nothing was written.
            ClaimLost: if the run has a newer owner; nothing was written.
            RecordBusy: if the outcome is unknown.
        """
        commit = new_id()
        for _ in range(_ATTEMPTS):
            record = run.record.model_copy(update={**changes, "commit": commit})
            next_state(run.record.state, act_to(record.state))
            written = await self._try(record, caused, run.sequence)
            if written is not None:
                run.record, run.sequence = record, written
                return
            await self.refresh(run)
        raise RecordBusy(f"The record of job {run.record.id} is being written by others.", job=run.record.id)

    async def refresh(self, run: Run) -> None:
        """Read what somebody else wrote into the record: the cancel flag.

        Raises:
            ClaimLost: if the run has a newer owner.
        """
        record, sequence = await self.load(run.record.id) or (None, 0)
        if record is None or record.claim != run.record.claim:
            raise ClaimLost(f"Job {run.record.id} has a newer owner.", job=run.record.id)
        flags = {"cancel_requested": record.cancel_requested, "remove_on_cancel": record.remove_on_cancel}
        run.record, run.sequence = run.record.model_copy(update=flags), sequence

    async def request_cancel(self, command: CancelJob, *, at: Moment) -> RunRecord:
        """Set the cancel flag; a job that never ran gets a cancelled record at once."""
        for _ in range(_ATTEMPTS):
            record, sequence = await self.load(command.job) or (None, 0)
            if record is not None and (record.state.is_terminal or _is_flagged(record, command)):
                return record
            if command.abandon is not None:
                cancelled, caused = self._abandoned(command, record, command.abandon, at)
            else:
                cancelled, caused = self._cancelled(command, record, at)
            if await self._try(cancelled, caused, sequence) is not None:
                return cancelled
        raise RecordBusy(f"The record of job {command.job} is being written by others.", job=command.job)

    async def _try(self, record: RunRecord, caused: Sequence[Event], sequence: int) -> int | None:
        lifetime = RECORD_LIFETIME if record.state.is_terminal else None
        try:
            return await self._bus.commit(
                record, caused, expected_sequence=sequence, commit_id=record.commit, ttl=lifetime
            )
        except (WriteRefused, WriteUnknown):
            current, sequence = await self.load(record.id) or (None, 0)
            return sequence if current is not None and current.commit == record.commit else None

    def _claimed(
        self, command: RunJob, record: RunRecord | None, commit: str, at: Moment, released: int | None
    ) -> RunRecord:
        state = next_state(record.state if record else JobState.QUEUED, Act.CLAIMED)
        claim: dict[str, Any] = {"owner": self._bus.instance, "commit": commit, "state": state}
        if record is None:
            order = {"target": command.target, "exists_on_host": command.finds_container}
            return RunRecord(id=command.job, kind=command.kind, claim=1, started_at=at, **order, **claim)
        stuck = record.claims_without_progress + (record.claim != released)
        return record.model_copy(
            update={**claim, "claim": record.claim + 1, "claims_without_progress": stuck}
        )

    def _abandoned(
        self, command: CancelJob, record: RunRecord | None, why: str, at: Moment
    ) -> tuple[RunRecord, Sequence[Event]]:
        """End a run wherever it stands; the next claim number shuts out an owner that still lives."""
        if record is None:
            record, _ = self._cancelled(command, None, at)
        else:
            state = next_state(record.state, Act.CANCELLED)
            changes = {"state": state, "claim": record.claim + 1, "commit": new_id(), "finished_at": at}
            record = record.model_copy(update={**changes, "cancel_requested": True})
        error = Problem(kind=ProblemKind.FAILED, code="job.dropped", message=why)
        record = record.model_copy(update={"error": error})
        return record, (events.done(record, record.state, error=error),)

    def _cancelled(
        self, command: CancelJob, record: RunRecord | None, at: Moment
    ) -> tuple[RunRecord, Sequence[Event]]:
        if record is not None:
            changes = {
                "cancel_requested": True,
                "remove_on_cancel": record.remove_on_cancel or command.remove_on_cancel,
                "state": next_state(record.state, Act.CANCEL_REQUESTED),
                "commit": new_id(),
            }
            return record.model_copy(update=changes), ()
        state = next_state(JobState.QUEUED, Act.CANCEL_REQUESTED)
        record = RunRecord(
            id=command.job,
            kind=command.kind,
            state=state,
            claim=1,
            commit=new_id(),
            owner=self._bus.instance,
            target=command.target,
            cancel_requested=True,
            exists_on_host=command.exists_on_host,
            started_at=at,
            finished_at=at,
        )
        return record, (events.done(record, state),)


def _is_flagged(record: RunRecord, command: CancelJob) -> bool:
    if command.abandon is not None:
        return False
    return record.cancel_requested and (record.remove_on_cancel or not command.remove_on_cancel)
