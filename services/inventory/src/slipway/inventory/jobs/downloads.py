"""Downloads of OS templates: jobs that work on a node, and on no container."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, JobRef
from slipway.contracts.form_facts import DownloadAccepted, DownloadOsTemplate
from slipway.contracts.job_kinds import JobKind, OsTemplateDownloadArgs
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Invalid
from slipway.inventory.clusters.store import ClusterStore, StoredCluster, find_cluster
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers import archives
from slipway.inventory.containers.claims import JobActive
from slipway.inventory.containers.defaults import FactsMissing, NodeUnknown, free_of
from slipway.inventory.containers.sight import is_away
from slipway.inventory.decision import Decision, Proposal
from slipway.inventory.faults import at
from slipway.inventory.jobs.enqueuer import accepted
from slipway.inventory.jobs.queue import lock_queue
from slipway.inventory.tables import ACTIVE, jobs
from slipway.runtime.process.ids import new_id


class NoTemplateStorage(Invalid):
    """The node has no such storage for OS templates."""

    code = "storage.no-templates"


@dataclass(frozen=True, slots=True)
class Downloads:
    """Checks and completes downloads."""

    clusters: ClusterStore

    async def propose(self, request: DownloadOsTemplate) -> Proposal[DownloadAccepted]:
        """Return the download of an archive that a node offers."""
        cluster = await self.clusters.stored(request.cluster)
        refuse_below(cluster.spec.tier, JobKind.OS_TEMPLATE_DOWNLOAD, cluster=cluster.spec.name)
        node, archive = _offered(request, cluster)
        args = OsTemplateDownloadArgs(
            node=node.node, template=archive, storage=_storage(request.storage, node)
        )
        command = _command(cluster.id, cluster.spec.name, args)

        async def decide(tx: AsyncConnection, _gone: object) -> Decision[DownloadAccepted]:
            decision = await decide_download(tx, command)
            reply = DownloadAccepted(
                job=JobRef(id=command.job), node=args.node, volume=f"{args.storage}:vztmpl/{archive}"
            )
            return Decision(reply=reply, commands=decision.commands)

        return Proposal(decide=decide)


async def decide_download(
    tx: AsyncConnection, command: RunJob, *, retry_of: Id | None = None
) -> Decision[Accepted]:
    """Download an archive, or again after a failure, unless that is going on.

    Raises:
        JobActive: if another job downloads it to the same place.
    """
    args, target = command.args_as(OsTemplateDownloadArgs), command.target
    await lock_queue(tx, target.cluster, target.node)
    same = (jobs.c.kind == command.kind, jobs.c.cluster_id == target.cluster, jobs.c.state.in_(ACTIVE))
    query = select(jobs.c.id).where(*same, jobs.c.command["args"] == args.model_dump(mode="json"))
    active = await tx.scalar(query.limit(1))
    if active is not None:
        raise JobActive(f"Job {active} downloads {args.template} to {target.node} now.", job=active)
    if retry_of is not None:
        row = await find_cluster(tx, target.cluster)
        refuse_below(ClusterSpec.model_validate(row.spec).tier, command.kind, cluster=row.name)
        command = _command(target.cluster, target.cluster_name, args)
        command = command.model_copy(update={"retry_of": retry_of})
    return Decision(reply=accepted(command), commands=[command])


def _command(cluster: Id, name: str, args: OsTemplateDownloadArgs) -> RunJob:
    job = new_id()
    target = Target(
        container=job, cluster=cluster, cluster_name=name, node=args.node, vmid=0, hostname=args.template
    )
    spec = ContainerSpec(hostname="none")
    return RunJob(job=job, kind=JobKind.OS_TEMPLATE_DOWNLOAD, args=args, target=target, spec=spec)


def _offered(request: DownloadOsTemplate, cluster: StoredCluster) -> tuple[NodeFacts, str]:
    """Return the node that downloads, and the archive that it offers."""
    nodes = [node for node in cluster.nodes if request.node in {None, node.node}]
    if not nodes:
        known = ", ".join(node.node for node in cluster.nodes) or "none"
        message = f"Cluster {cluster.spec.name} has no node {request.node!r}; it has: {known}."
        raise at("node", NodeUnknown, message)
    online = [node for node in nodes if not is_away(node)]
    if not online:
        names = ", ".join(node.node for node in nodes)
        raise FactsMissing(f"Nothing can be downloaded now: {names} can't be reached.")
    refusal: archives.OsTemplateNotFound | None = None
    for node in online:
        try:
            return node, archives.choose_download(request.template, node)
        except archives.OsTemplateNotFound as error:
            refusal = refusal or error
    raise refusal or NodeUnknown(f"Cluster {cluster.spec.name} has no nodes.")


def _storage(requested: str | None, node: NodeFacts) -> str:
    able = [each for each in node.storages if each.is_active and "vztmpl" in each.content]
    names = [each.name for each in sorted(able, key=lambda each: (-free_of(each), each.name))]
    if requested is None and names:
        return names[0]
    if requested not in names:
        these = ", ".join(names) or "none"
        message = f"Node {node.node} takes OS templates on these storages now: {these}. Add `vztmpl` to the "
        message += "content of a storage in Proxmox (Datacenter, Storage), or choose one of these."
        raise at("storage", NoTemplateStorage, message)
    return requested
