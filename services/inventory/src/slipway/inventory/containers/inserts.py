"""A container's row and its secrets, made when its creation or its copy is accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.containers import ContainerRegistered, ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.names import claim_names
from slipway.inventory.containers.vmids import free_vmids
from slipway.inventory.tables import containers, credentials
from slipway.runtime.database import outbox
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


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
    (command,) = await claim_all(connection, [creation])
    return command


async def claim_all(connection: AsyncConnection, creations: Sequence[Creation]) -> list[RunJob]:
    """Claim names and VMIDs for creations in one cluster, in few queries however many they are."""
    first = creations[0]
    vmids = await free_vmids(
        connection,
        first.cluster,
        [each.spec.vmid for each in creations],
        is_free=first.vmid_is_free,
    )
    targets = [_target(each, vmid) for each, vmid in zip(creations, vmids, strict=True)]
    await make_all(connection, creations, targets)
    commands = [_command(each, target) for each, target in zip(creations, targets, strict=True)]
    await register_all(connection, commands)
    return commands


async def make_all(
    connection: AsyncConnection, creations: Sequence[Creation], targets: Sequence[Target]
) -> None:
    """Write the rows, which claim names and VMIDs, and the secrets."""
    await claim_names(connection, creations[0].cluster, [target.hostname for target in targets])
    rows = [_row(each, target) for each, target in zip(creations, targets, strict=True)]
    await connection.execute(insert(containers), rows)
    secrets = [
        {
            "id": new_id(),
            "container_id": each.container,
            "name": name,
            "origin": secret.origin,
            "sealed": secret.sealed,
        }
        for each in creations
        for name, secret in each.secrets.items()
    ]
    if secrets:
        await connection.execute(insert(credentials), secrets)


async def register_all(connection: AsyncConnection, commands: Sequence[RunJob]) -> None:
    """Leave the new containers' facts for the bus."""
    await outbox.add_all(connection, [_registered(command) for command in commands])


def _target(creation: Creation, vmid: int) -> Target:
    return Target(
        container=creation.container,
        cluster=creation.cluster,
        cluster_name=creation.cluster_name,
        node=str(creation.spec.node),
        vmid=vmid,
        vmid_is_provisional=creation.spec.vmid is None,
        hostname=creation.spec.hostname,
    )


def _command(creation: Creation, target: Target) -> RunJob:
    return RunJob(
        job=new_id(),
        kind=JobKind.CREATE,
        target=target,
        spec=creation.spec,
        bundle=creation.bundle,
        on_failure=creation.spec.on_failure,
    )


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


def _registered(command: RunJob) -> outbox.Outgoing:
    target = command.target
    told = ContainerRegistered(
        id=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        cluster=target.cluster,
        job=command.job,
    )
    return outbox.Outgoing(message=told, message_id=f"container:{target.container}:registered")
