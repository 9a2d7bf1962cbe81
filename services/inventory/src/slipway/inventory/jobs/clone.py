"""Copies containers: the new one's rows and claims, and the job, decided on under the source's lock."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted
from slipway.contracts.job_kinds import CloneArgs, JobKind
from slipway.contracts.jobs import RequestJob, RunJob
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.clusters.store import limits_of
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.claims import claim_names, claim_vmids, refuse_busy
from slipway.inventory.containers.create import registered
from slipway.inventory.containers.defaults import copied
from slipway.inventory.containers.lifecycle import refuse_unless_it_lives
from slipway.inventory.containers.store import (
    NewContainer,
    Secret,
    container_row,
    insert_containers,
    target_of,
)
from slipway.inventory.containers.validation import restricted
from slipway.inventory.decision import Decision, Gone
from slipway.inventory.jobs.enqueuer import accepted
from slipway.runtime.process.ids import new_id


async def decide_clone(
    tx: AsyncConnection, request: RequestJob, copy: Id, secrets: Mapping[str, Secret], gone: Gone
) -> Decision[Accepted]:
    """Copy a container; the copy is a new one, and the cluster's limits hold for it.

    Args:
        tx: the transaction.
        request: for the source.
        copy: the new container's id.
        secrets: the source's, sealed for the copy.
        gone: what does not hold its name and its VMID any more.

    Raises:
        HostnameTaken: names the field.
        VmidTaken: if the requested VMID is in use; names the field.
        JobActive: if a job works on the source.
        RestrictedKey: if the source has what the cluster does not allow any more.
    """
    row = await container_row(tx, request.container, for_update=True)
    refuse_below(row.cluster_tier, JobKind.CLONE, cluster=row.cluster)
    await refuse_busy(tx, row.id, JobKind.CLONE)
    refuse_unless_it_lives(Lifecycle(row.lifecycle), request.kind)
    source, args = target_of(row), request.args_as(CloneArgs)
    spec = copied(ContainerSpec.model_validate(row.spec), args, args.target_node or source.node)
    restricted.check(spec, (await limits_of(tx, [source.cluster]))[source.cluster])
    besides = gone.containers
    await claim_names(tx, source.cluster, [args.hostname], besides=besides)
    (vmid,) = await claim_vmids(tx, source.cluster, [args.vmid], besides=besides, is_free=gone.is_vmid_free)
    place = {
        "container": copy,
        "node": args.target_node or source.node,
        "vmid": vmid,
        "vmid_is_provisional": args.vmid is None,
        "hostname": args.hostname,
    }
    target = source.model_copy(update=place)
    container = NewContainer(
        id=copy,
        cluster=source.cluster,
        cluster_name=source.cluster_name,
        spec=spec,
        template_version=row.template_version,
        bundle=row.bundle,
        secrets=secrets,
    )
    command = RunJob(
        job=new_id(),
        kind=JobKind.CLONE,
        target=target,
        source=source,
        spec=spec,
        on_failure=request.on_failure,
        args=args,
    )
    return Decision(
        reply=accepted(command),
        writes=insert_containers([container], [target]),
        events=[registered(command)],
        commands=[command],
    )
