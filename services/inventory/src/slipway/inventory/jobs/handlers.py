"""Jobs: read, retried, stored from the run records; and what a run may ask."""

from collections.abc import Mapping
from dataclasses import replace

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
from slipway.contracts.message import Id
from slipway.inventory.batches.store import BatchStore
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers import lifecycle
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.inserts import Secret
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.containers.vmids import VmidStore
from slipway.inventory.jobs import validation
from slipway.inventory.jobs.accept import AcceptanceStore
from slipway.inventory.jobs.clone import CopyStore
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.store import JobStore
from slipway.inventory.secrets.broker import SecretBroker
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Delivery
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.process.ids import new_id


class JobHandlers:
    """Answers about jobs."""

    def __init__(
        self,
        *,
        acceptance: AcceptanceStore,
        copies: CopyStore,
        clusters: ClusterStore,
        containers: ContainerStore,
        jobs: JobStore,
        vmids: VmidStore,
        batches: BatchStore,
        records: Records,
        host_check: HostCheck,
        secret_broker: SecretBroker,
        host_access: HostAccessPolicy = NONE,
    ) -> None:
        self._acceptance = acceptance
        self._copies = copies
        self._clusters = clusters
        self._containers = containers
        self._jobs = jobs
        self._vmids = vmids
        self._batches = batches
        self._records = records
        self._host_check = host_check
        self._secret_broker = secret_broker
        self._host_access = host_access

    async def get(self, query: GetJob, _call: Call) -> Job:
        """Give one."""
        job = await self._jobs.get(query.job)
        if job.state.is_terminal or not await self._records.catch_up(job.id):
            return job
        return await self._jobs.get(query.job)

    async def list(self, query: ListJobs, _call: Call) -> JobPage:
        """Give some."""
        return await self._jobs.list(query)

    async def retry(self, query: RetryJob, call: Call) -> Accepted:
        """Accept a second try."""
        done = await self._acceptance.done_before(call, "job.retry", query)
        if done is not None:
            return done
        await self._records.catch_up(query.job)
        return await self._records.unless_over(lambda: self._acceptance.retry(call, query))

    async def request(self, query: RequestJob, call: Call) -> Accepted:
        """Accept a job on a container that exists."""
        done = await self._acceptance.done_before(call, str(query.kind), query)
        if done is not None:
            return done
        validation.check(query.kind, query.args)
        await self._against_facts(query)
        if "hostname" not in query.args.values():
            return await self._accept(query, call)
        return await self._accept_name(query, call)

    async def _accept(self, query: RequestJob, call: Call) -> Accepted:
        return await self._records.unless_over(lambda: self._acceptance.request(call, query))

    async def _accept_name(self, query: RequestJob, call: Call) -> Accepted:
        """Accept a job that gives a name; one of a container that is gone by now is free."""
        copy = new_id() if query.kind is JobKind.CLONE else None
        secrets = await self._copied_secrets(query.container, copy) if copy else {}

        async def accept(is_free: bool) -> Accepted:  # noqa: FBT001 - `unless_gone` calls it so
            if copy is None:
                return await self._accept(query, call)
            return await self._records.unless_over(
                lambda: self._copies.clone(call, query, copy, secrets, vmid_is_free=is_free)
            )

        return await self._host_check.unless_gone(
            accept,
            cluster=(await self._containers.get(query.container)).cluster_id,
            vmid=query.args.values().get("vmid"),
            hostname=query.args.values()["hostname"],
        )

    async def _against_facts(self, query: RequestJob) -> None:
        """Refuse what the container or its node can't have, by what is known of them, or says the host."""
        found = await self._containers.get(query.container)
        await self._host_check.refuse_impossible(found, query.kind, query.args)
        if not validation.looks_at_container(query.args):
            return
        known = validation.Known(spec=found.spec, vmid=found.vmid, hostname=found.hostname, node=found.node)
        if validation.looks_at_nodes(query.args):
            cluster = await self._clusters.known(found.cluster_id)
            known = replace(known, nodes=cluster.nodes, in_maintenance=cluster.in_maintenance)
        validation.check_against(query.kind, query.args, known, self._host_access)

    async def _copied_secrets(self, source: Id, copy: Id) -> Mapping[str, Secret]:
        """Seal a container's secrets for its copy: a copy has the same passwords inside."""
        return {
            name: Secret(
                origin=each.origin,
                sealed=self._secret_broker.move(each.sealed, owner=source, to_owner=copy, field=name),
            )
            for name, each in (await self._copies.secrets(source)).items()
        }

    async def cancel(self, query: RequestCancel, call: Call) -> Job:
        """Accept the end of a job. Idempotent: a second one changes nothing."""
        if await self._jobs.is_batch(query.job):
            lifecycle.refuse_to_destroy(JobKind.BATCH, wanted=query.remove_on_cancel)
            await self._batches.cancel(call, query.job)
            return await self._jobs.get(query.job)
        await self._records.catch_up(query.job)
        await self._acceptance.cancel(call, query)
        return await self._jobs.get(query.job)

    async def secrets(self, query: GetJobSecrets, _call: Call) -> JobSecrets:
        """Give the run its secrets, sealed to the provisioner."""
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

    async def replace_vmid(self, query: ReplaceVmid, _call: Call) -> ReplacedVmid:
        """Give a job another VMID."""
        return await self._vmids.replace(query.job, query.refused)

    async def record_written(self, record: RunRecord, delivery: Delivery) -> None:
        """Keep where a run stands. Idempotent: a row takes a record only with a higher sequence."""
        await self._jobs.take_record(record, delivery.stream_sequence)


def _key(name: str, origin: str) -> str:
    return "password" if origin == "root" else f"variable:{name}"
