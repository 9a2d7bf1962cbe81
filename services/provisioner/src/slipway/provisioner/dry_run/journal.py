"""The journal of a dry run: its record is in memory only, and nothing is published."""

from collections import deque
from typing import Any

from slipway.contracts.job_events import JobLog
from slipway.contracts.jobs import RunJob, RunRecord
from slipway.contracts.message import Event
from slipway.contracts.values import JobState
from slipway.provisioner.engine.log_bound import LIMITS
from slipway.runtime.process.clock import now


class DryRunJournal:
    """A `Journal` that keeps changes of the record for the later steps of the dry run."""

    def __init__(self, command: RunJob) -> None:
        self.limits = LIMITS
        self.last_lines: deque[str] = deque(maxlen=0)
        self.record = RunRecord(
            id=command.job,
            kind=command.kind,
            state=JobState.RUNNING,
            claim=0,
            commit="",
            owner="",
            target=command.target,
            started_at=now(),
        )
        self.has_room = True

    async def commit(self, *_events: Event, **changes: Any) -> None:
        """Change the record in memory."""
        self.defer(**changes)

    def defer(self, *_events: Event, **changes: Any) -> None:
        """Change the record in memory."""
        self.record = self.record.model_copy(update=changes)

    async def flush(self) -> None:
        """Write nothing: nothing waits."""

    async def report(self, message: str, *, vmid: int | None = None) -> None:
        """Publish nothing."""

    async def publish(self, event: Event, message_id: str) -> int:  # noqa: ARG002  nothing is stored
        """Store nothing."""
        return 0

    async def earlier(self, job: str) -> RunRecord | None:
        """Return no record: a plan does not depend on a former try."""

    async def last_log(self) -> JobLog | None:
        """Return nothing: there is no log."""
