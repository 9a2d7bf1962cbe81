"""A container's row and its secrets, made when its creation or its copy is accepted."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import ContainerRegistered, ContainerSpec
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.values import JobKind, Lifecycle, Power
from slipway.inventory.store.claims import claim_name
from slipway.inventory.store.vmids import free_vmid
from slipway.inventory.tables import containers, credentials
from slipway.runtime import outbox
from slipway.runtime.clock import now
from slipway.runtime.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret as its row keeps it."""

    origin: str
    """`root` or `variable`."""
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A creation that was checked and completed."""

    container: Id
    cluster: Id
    cluster_name: str
    spec: ContainerSpec
    template_version: str | None
    bundle: str | None
    secrets: Mapping[str, Secret]
    """Name to secret."""
    vmid_is_free: bool = False
    """Whether Proxmox has just called the wanted VMID free, whatever older facts say."""


async def claim(connection: AsyncConnection, creation: Creation) -> RunJob:
    """Claim name and VMID, write the container with its secrets, and give the command that builds it."""
    vmid = await free_vmid(connection, creation.cluster, creation.spec.vmid, is_free=creation.vmid_is_free)
    target = Target(
        container=creation.container,
        cluster=creation.cluster,
        cluster_name=creation.cluster_name,
        node=str(creation.spec.node),
        vmid=vmid,
        vmid_is_provisional=creation.spec.vmid is None,
        hostname=creation.spec.hostname,
    )
    await make(connection, creation, target)
    command = RunJob(
        job=new_id(),
        kind=JobKind.CREATE,
        target=target,
        spec=creation.spec,
        bundle=creation.bundle,
        on_failure=creation.spec.on_failure,
    )
    await register(connection, command)
    return command


async def make(connection: AsyncConnection, creation: Creation, target: Target) -> None:
    """Write the row, which claims name and VMID, and the secrets."""
    await claim_name(connection, creation.cluster, target.hostname)
    await connection.execute(insert(containers).values(_row(creation, target)))
    for name, secret in creation.secrets.items():
        row = {"id": new_id(), "container_id": creation.container, "name": name}
        kept = {"origin": secret.origin, "sealed": secret.sealed}
        await connection.execute(insert(credentials).values(row | kept))


def _row(creation: Creation, target: Target) -> dict[str, object]:
    at = now()
    return {
        "id": creation.container,
        "cluster_id": creation.cluster,
        "node": target.node,
        "node_at": at,
        "hostname": target.hostname,
        "vmid": target.vmid,
        "vmid_is_provisional": target.vmid_is_provisional,
        "template": creation.spec.template,
        "template_version": creation.template_version,
        "bundle": creation.bundle,
        "spec": creation.spec.model_dump(mode="json"),
        "lifecycle": Lifecycle.CREATING,
        "power": Power.UNKNOWN,
        "services": [],
        "warnings": [],
        "created_at": at,
        "updated_at": at,
    }


async def register(connection: AsyncConnection, command: RunJob) -> None:
    """Leave the new container's fact for the bus."""
    target = command.target
    registered = ContainerRegistered(
        id=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        cluster=target.cluster,
        job=command.job,
    )
    await outbox.add(connection, registered, message_id=f"container:{target.container}:registered")
