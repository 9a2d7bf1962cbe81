"""Jobs: cancelled, read, stored from the run records; and what a run may ask."""

from dataclasses import dataclass
from functools import partial

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import (
    GetJob,
    GetJobSecrets,
    Job,
    JobSecrets,
    ReplacedVmid,
    ReplaceVmid,
    RequestCancel,
    RunRecord,
)
from slipway.contracts.values import JobState
from slipway.inventory.batches.use_cases import BatchRequests
from slipway.inventory.containers import lifecycle
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.use_cases import decide_cancel, decide_vmid
from slipway.inventory.jobs.views import JobViews
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Delivery

_OF_RUNS = frozenset({"root", "variable"})
"""Origins of the secrets that a run gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandlers:
    """Answers about jobs."""

    unit: UnitOfWork
    jobs: JobViews
    batches: BatchRequests
    records: Records
    secret_broker: SecretBroker

    async def get(self, query: GetJob, _call: Call) -> Job:
        """Return one."""
        job = await self.jobs.get(query.job)
        if job.state.is_terminal or not await self.records.catch_up(job.id):
            return job
        return await self.jobs.get(query.job)

    async def cancel(self, query: RequestCancel, call: Call) -> Job:
        """Accept the end of a job. Idempotent: a second one changes nothing."""
        if await self.jobs.is_batch(query.job):
            lifecycle.refuse_to_destroy(JobKind.BATCH, is_requested=query.remove_on_cancel)
            await self.batches.cancel(call, query.job)
        else:
            await self.records.catch_up(query.job)
            await self.unit.run(call, lambda tx: decide_cancel(tx, query))
        return await self.jobs.get(query.job)

    async def secrets(self, query: GetJobSecrets, _call: Call) -> JobSecrets:
        """Return a run's secrets, sealed to the provisioner."""
        rows = await self.jobs.with_secrets(query.job, _OF_RUNS)
        job = rows[0]
        secrets = {_key(row.name, row.origin): row for row in rows if row.name is not None}
        pass_on = partial(self.secret_broker.pass_on, owner=job.container_id, to="provisioner")
        return JobSecrets(
            secrets={key: pass_on(row.sealed, field=row.name, to_field=key) for key, row in secrets.items()},
            state=JobState(job.state),
            percent=job.percent,
            exists_on_host=job.exists_on_host,
        )

    async def replace_vmid(self, query: ReplaceVmid, call: Call) -> ReplacedVmid:
        """Return another VMID for a job."""
        return await self.unit.run(call, lambda tx: decide_vmid(tx, query.job, query.refused))

    async def record_written(self, record: RunRecord, delivery: Delivery) -> None:
        """Store where a run stands. Idempotent: a row takes a record only with a higher sequence."""
        await self.records.store(record, delivery.stream_sequence)


def _key(name: str, origin: str) -> str:
    return "password" if origin == "root" else f"variable:{name}"
