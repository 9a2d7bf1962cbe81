"""Jobs: requested, retried, cancelled, planned, read, stored from the run records; and what a run may ask."""

from slipway.contracts.containers import Accepted
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import (
    GetJob,
    GetJobSecrets,
    Job,
    JobPage,
    JobSecrets,
    ListJobs,
    ReplacedVmid,
    ReplaceVmid,
    RequestCancel,
    RequestJob,
    RetryJob,
    RunRecord,
)
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.batches.use_cases import BatchRequests
from slipway.inventory.containers import lifecycle
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.use_cases import JobRequests, decide_cancel, decide_vmid
from slipway.inventory.jobs.views import JobViews
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Delivery


class JobHandlers:
    """Answers about jobs."""

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        unit: UnitOfWork,
        requests: JobRequests,
        jobs: JobViews,
        batches: BatchRequests,
        records: Records,
        secret_broker: SecretBroker,
    ) -> None:
        self._acceptance = acceptance
        self._unit = unit
        self._requests = requests
        self._jobs = jobs
        self._batches = batches
        self._records = records
        self._secret_broker = secret_broker

    async def get(self, query: GetJob, _call: Call) -> Job:
        """Return one."""
        job = await self._jobs.get(query.job)
        if job.state.is_terminal or not await self._records.catch_up(job.id):
            return job
        return await self._jobs.get(query.job)

    async def list(self, query: ListJobs, _call: Call) -> JobPage:
        """Return a page of them."""
        return await self._jobs.list(query)

    async def retry(self, query: RetryJob, call: Call) -> Accepted:
        """Accept a retry."""
        return await self._acceptance.accept(
            call, "job.retry", query, Accepted, lambda: self._requests.propose_retry(query)
        )

    async def request(self, query: RequestJob, call: Call) -> Accepted:
        """Accept a job on a container that exists."""
        return await self._acceptance.accept(
            call, str(query.kind), query, Accepted, lambda: self._requests.propose(query)
        )

    async def cancel(self, query: RequestCancel, call: Call) -> Job:
        """Accept the end of a job. Idempotent: a second one changes nothing."""
        if await self._jobs.is_batch(query.job):
            lifecycle.refuse_to_destroy(JobKind.BATCH, is_requested=query.remove_on_cancel)
            await self._batches.cancel(call, query.job)
        else:
            await self._records.catch_up(query.job)
            await self._unit.run(call, lambda tx: decide_cancel(tx, query))
        return await self._jobs.get(query.job)

    async def secrets(self, query: GetJobSecrets, _call: Call) -> JobSecrets:
        """Return a run's secrets, sealed to the provisioner."""
        stored = await self._jobs.secrets(query.job)
        keys = {name: _key(name, origin) for name, (origin, _) in stored.sealed.items()}
        return JobSecrets(
            secrets={
                keys[name]: self._secret_broker.pass_on(
                    sealed, owner=stored.container, field=name, to="provisioner", to_field=keys[name]
                )
                for name, (_, sealed) in stored.sealed.items()
            },
            state=stored.state,
            percent=stored.percent,
            exists_on_host=stored.exists_on_host,
        )

    async def replace_vmid(self, query: ReplaceVmid, call: Call) -> ReplacedVmid:
        """Return another VMID for a job."""
        return await self._unit.run(call, lambda tx: decide_vmid(tx, query.job, query.refused))

    async def record_written(self, record: RunRecord, delivery: Delivery) -> None:
        """Store where a run stands. Idempotent: a row takes a record only with a higher sequence."""
        await self._records.store(record, delivery.stream_sequence)


def _key(name: str, origin: str) -> str:
    return "password" if origin == "root" else f"variable:{name}"
