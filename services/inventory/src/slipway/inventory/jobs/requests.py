"""Checks requests for jobs before they are decided on: against the container, its node and its host."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import Accepted, Container, DeleteContainer
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RequestCancel, RequestJob, RetryJob
from slipway.contracts.message import Id
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.store import ContainerStore, Secret
from slipway.inventory.containers.use_cases import decide_deletion
from slipway.inventory.decision import Claim, Decision, Gone, Proposal
from slipway.inventory.jobs import validation
from slipway.inventory.jobs.clone import decide_clone
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.retry import decide_retry
from slipway.inventory.jobs.store import JobStore
from slipway.inventory.jobs.use_cases import Cancellation, decide_cancel, decide_request
from slipway.inventory.secrets.broker import SecretBroker
from slipway.runtime.process.host_access import HostAccessPolicy
from slipway.runtime.process.ids import new_id


class Requests:
    """Checks requests for jobs."""

    def __init__(
        self,
        *,
        clusters: ClusterStore,
        containers: ContainerStore,
        jobs: JobStore,
        records: Records,
        host_check: HostCheck,
        secret_broker: SecretBroker,
        host_access: HostAccessPolicy,
    ) -> None:
        self._clusters = clusters
        self._containers = containers
        self._jobs = jobs
        self._records = records
        self._host_check = host_check
        self._secret_broker = secret_broker
        self._host_access = host_access

    async def propose(self, request: RequestJob) -> Proposal[Accepted]:
        """Return a job that was checked."""
        validation.check(request.kind, request.args)
        container = await self._containers.get(request.container)
        await self._check(request, container)
        args = request.args.values()
        hostname, vmid = args.get("hostname"), args.get("vmid")
        claim = Claim(cluster=container.cluster_id, hostname=hostname, vmid=vmid) if hostname else None
        if request.kind is not JobKind.CLONE:
            return Proposal(decide=lambda tx, gone: decide_request(tx, request, gone), claim=claim)
        copy = new_id()
        secrets = await self._copied_secrets(container.id, copy)

        async def decide(tx: AsyncConnection, gone: Gone) -> Decision[Accepted]:
            return await decide_clone(tx, request, copy, secrets, gone)

        return Proposal(decide=decide, claim=claim)

    async def propose_deletion(self, request: DeleteContainer) -> Proposal[Accepted]:
        """Return the deletion of a container that Proxmox does not protect."""
        await self._host_check.refuse_deletion(await self._containers.get(request.container))
        return Proposal(decide=lambda tx, _gone: decide_deletion(tx, request))

    async def propose_cancel(self, request: RequestCancel) -> Proposal[Cancellation]:
        """Return the cancel of a job, whose record was read."""
        await self._records.catch_up(request.job)
        return Proposal(decide=lambda tx, _gone: decide_cancel(tx, request))

    async def is_batch(self, job: Id) -> bool:
        """Return whether a job is a batch."""
        return await self._jobs.is_batch(job)

    async def propose_retry(self, request: RetryJob) -> Proposal[Accepted]:
        """Return the retry of a job, whose record was read."""
        await self._records.catch_up(request.job)
        return Proposal(decide=lambda tx, _gone: decide_retry(tx, request))

    async def _check(self, request: RequestJob, container: Container) -> None:
        """Refuse what the container, its node or its host can't have, as far as it is known."""
        await self._host_check.refuse_impossible(container, request.kind, request.args)
        if not validation.looks_at_container(request.args):
            return
        known = validation.Known(
            spec=container.spec, vmid=container.vmid, hostname=container.hostname, node=container.node
        )
        if validation.looks_at_nodes(request.args):
            cluster = await self._clusters.known(container.cluster_id)
            known = replace(known, nodes=cluster.nodes, in_maintenance=cluster.in_maintenance)
        validation.check_against(request.kind, request.args, known, self._host_access)

    async def _copied_secrets(self, source: Id, copy: Id) -> Mapping[str, Secret]:
        """Seal a container's secrets for its copy: a copy has the same passwords inside."""
        move = self._secret_broker.move
        return {
            name: Secret(
                origin=each.origin, sealed=move(each.sealed, owner=source, to_owner=copy, field=name)
            )
            for name, each in (await self._containers.secrets(source)).items()
        }
