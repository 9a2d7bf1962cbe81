"""Jobs: read, retried, kept from the run records; and what a run may ask."""

from slipway.contracts.containers import Accepted
from slipway.contracts.jobs import (
    GetJob,
    GetJobSecrets,
    Job,
    JobPage,
    JobSecrets,
    ListJobs,
    ReplacedVmid,
    ReplaceVmid,
    RetryJob,
    RunRecord,
)
from slipway.inventory.credentials import Custody
from slipway.inventory.store.acceptance import AcceptanceStore
from slipway.inventory.store.jobs import JobStore
from slipway.inventory.store.vmids import VmidStore
from slipway.runtime.bus import Delivery
from slipway.runtime.call import Call


class JobHandlers:
    """Answers about jobs."""

    def __init__(
        self, acceptance: AcceptanceStore, jobs: JobStore, vmids: VmidStore, custody: Custody
    ) -> None:
        self._acceptance = acceptance
        self._jobs = jobs
        self._vmids = vmids
        self._custody = custody

    async def get(self, query: GetJob, _call: Call) -> Job:
        """Give one."""
        return await self._jobs.get(query.job)

    async def list(self, query: ListJobs, _call: Call) -> JobPage:
        """Give some."""
        return await self._jobs.list(query)

    async def retry(self, query: RetryJob, call: Call) -> Accepted:
        """Accept a second try."""
        done = await self._acceptance.done_before(call, "job.retry", query)
        return done or await self._acceptance.retry(call, query)

    async def secrets(self, query: GetJobSecrets, _call: Call) -> JobSecrets:
        """Give the run its secrets, sealed to the provisioner."""
        kept = await self._jobs.secrets(query.job)
        keys = {name: _key(name, origin) for name, (origin, _) in kept.sealed.items()}
        return JobSecrets(
            secrets={
                keys[name]: self._custody.pass_on(
                    sealed, owner=kept.container, field=name, to="provisioner", to_field=keys[name]
                )
                for name, (_, sealed) in kept.sealed.items()
            },
            state=kept.state,
            percent=kept.percent,
            exists_on_host=kept.exists_on_host,
        )

    async def replace_vmid(self, query: ReplaceVmid, _call: Call) -> ReplacedVmid:
        """Give a job another VMID."""
        return await self._vmids.replace(query.job, query.refused)

    async def record_written(self, record: RunRecord, delivery: Delivery) -> None:
        """Keep where a run stands. Idempotent: a row takes a record only with a higher sequence."""
        await self._jobs.take_record(record, delivery.stream_sequence)


def _key(name: str, origin: str) -> str:
    return "password" if origin == "root" else f"variable:{name}"
