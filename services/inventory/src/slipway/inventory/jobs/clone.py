"""Accepts copies: the new container's row, claims and secrets, in the transaction that takes the job in."""

from collections.abc import Mapping

from sqlalchemy import select

from slipway.contracts.containers import Accepted, ContainerSpec
from slipway.contracts.job_kinds import CloneArgs, JobKind
from slipway.contracts.jobs import RequestJob, RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory import audit
from slipway.inventory.containers.claims import accepting, refuse_busy
from slipway.inventory.containers.defaults import copied
from slipway.inventory.containers.inserts import Creation, Secret, make_all, register_all
from slipway.inventory.containers.lifecycle import refuse_unless_it_lives
from slipway.inventory.containers.store import container_row, target_of
from slipway.inventory.containers.vmids import free_vmid
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.tables import credentials
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id


class CopyStore:
    """Takes copies in."""

    def __init__(self, database: Database, enqueuer: JobEnqueuer) -> None:
        self._database = database
        self._enqueuer = enqueuer

    async def secrets(self, container: Id) -> Mapping[str, Secret]:
        """Give what a container's secrets are, as its rows keep them: name to secret."""
        query = select(credentials).where(credentials.c.container_id == container)
        async with self._database.begin() as connection:
            await container_row(connection, container)
            rows = await connection.execute(query)
            return {row.name: Secret(origin=row.origin, sealed=row.sealed) for row in rows}

    async def clone(
        self,
        call: Call,
        request: RequestJob,
        copy: Id,
        secrets: Mapping[str, Secret],
        *,
        vmid_is_free: bool = False,
    ) -> Accepted:
        """Accept a copy; its name and VMID are claimed from now on.

        Args:
            call: who asks.
            request: for the source.
            copy: the new container's id.
            secrets: the source's, sealed for the copy.
            vmid_is_free: whether Proxmox has just called the wanted VMID free.

        Raises:
            HostnameTaken: names the field.
            VmidTaken: if the wanted VMID is in use; names the field.
            JobActive: if a job works on the source.
        """
        args = request.args_as(CloneArgs)
        async with accepting(self._database, args.hostname) as connection:
            done = await audit.done_meanwhile(connection, call, str(request.kind), request, Accepted)
            if done is not None:
                return done
            row = await container_row(connection, request.container, for_update=True)
            await refuse_busy(connection, row.id, JobKind.CLONE)
            refuse_unless_it_lives(Lifecycle(row.lifecycle), request.kind)
            vmid = await free_vmid(connection, row.cluster_id, args.vmid, is_free=vmid_is_free)
            source = target_of(row)
            target = _target(args, copy, source, vmid)
            creation = Creation(
                container=copy,
                cluster=source.cluster,
                cluster_name=source.cluster_name,
                spec=copied(ContainerSpec.model_validate(row.spec), args, target.node),
                template_version=row.template_version,
                bundle=row.bundle,
                secrets=secrets,
            )
            await make_all(connection, [creation], [target])
            command = RunJob(
                job=new_id(),
                kind=JobKind.CLONE,
                target=target,
                source=source,
                spec=creation.spec,
                on_failure=request.on_failure,
                args=args,
            )
            accepted = await self._enqueuer.enqueue(connection, call, command)
            await register_all(connection, [command])
            await audit.remember(connection, call, str(request.kind), request, accepted)
            return accepted


def _target(args: CloneArgs, copy: Id, source: Target, vmid: int) -> Target:
    return source.model_copy(
        update={
            "container": copy,
            "node": args.target_node or source.node,
            "vmid": vmid,
            "vmid_is_provisional": args.vmid is None,
            "hostname": args.hostname,
        }
    )
