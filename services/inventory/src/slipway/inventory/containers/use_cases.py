"""Changes of a container that exists: deleted, discovered, read back, forgotten, released, found again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.configs import HostConfig, StoreConfig
from slipway.contracts.container_events import (
    ContainerChanged,
    ContainerDeleted,
    ContainerDiscovered,
    ContainerForgotten,
    ContainerFound,
)
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, DeleteContainer, StoredDiscovery, StoreDiscovery
from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Target
from slipway.contracts.message import Done, Event, Id
from slipway.contracts.values import (
    CONFIG_UNREAD,
    DISCOVERY_PENDING,
    STILL_STARTING,
    WITHOUT_ADDRESS,
    Lifecycle,
    Power,
)
from slipway.inventory.clusters.store import is_removed
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.claims import HostnameTaken, claim_names, refuse_busy
from slipway.inventory.containers.configs import NAME_TAKEN, is_newer, with_config
from slipway.inventory.containers.lifecycle import HOLDING, Trigger, moved, refuse_deleted
from slipway.inventory.containers.store import (
    container_row,
    credential_row,
    delete_credentials,
    replace_discovered,
    target_of,
    update_container,
)
from slipway.inventory.decision import AuditNote, Decision, Write
from slipway.inventory.jobs.enqueuer import accepted, command_on
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.logs import get_logger

log = get_logger()


async def decide_deletion(tx: AsyncConnection, request: DeleteContainer) -> Decision[Accepted]:
    """Delete a container."""
    row = await container_row(tx, request.container, for_update=True)
    refuse_below(row.cluster_tier, JobKind.DELETE, cluster=row.cluster)
    cancel = (
        f"to cancel it and remove what it made: `slipway delete {row.id} --cancel`, or "
        f"DELETE /api/v1/containers/{row.id}?cancel=true"
    )
    is_created = Lifecycle(row.lifecycle) is Lifecycle.CREATING
    await refuse_busy(tx, row.id, JobKind.DELETE, cancel if is_created else "wait for its end")
    command = command_on(row, KindAndArgs(kind=JobKind.DELETE))
    writes = [move(row, Trigger.DELETION_ACCEPTED)]
    return Decision(reply=accepted(command), writes=writes, commands=[command])


async def decide_discovery(
    tx: AsyncConnection, request: StoreDiscovery, sealed: Mapping[str, str]
) -> Decision[StoredDiscovery]:
    """Replace what was discovered in a container; a credential keeps its id.

    Args:
        tx: the transaction.
        request: what monitor saw.
        sealed: name of a credential to what the vault sealed.

    Raises:
        IllegalTransition: if it is deleted by now: its secrets went with it.
    """
    row = await container_row(tx, request.container, for_update=True)
    refuse_deleted(Lifecycle(row.lifecycle))
    read = await _read(tx, row, request.config)
    over = [DISCOVERY_PENDING]
    over += [STILL_STARTING] if request.is_settled else []
    over += [WITHOUT_ADDRESS] if request.has_addresses else []
    before = read.values.get("warnings", row.warnings)
    warnings = [warning for warning in before if not warning.startswith(tuple(over))]
    warnings += [] if request.is_settled else [DISCOVERY_PENDING]
    at = now()
    seen = {
        "services": [service.model_dump(mode="json") for service in request.services],
        "address": request.address,
        "warnings": warnings,
        "discovered_at": at,
        "updated_at": at,
    }
    event = ContainerDiscovered(id=row.id, address=request.address, services=request.services)
    return Decision(
        reply=StoredDiscovery(services=len(request.services), credentials=len(sealed)),
        writes=[update_container(row.id, **{**read.values, **seen}), *replace_discovered(row.id, sealed)],
        events=[*read.events, _fact(row, event, "discovered")],
    )


async def decide_config(tx: AsyncConnection, request: StoreConfig) -> Decision[Done]:
    """Store a container's config. Idempotent: only what was read later is taken."""
    row = await container_row(tx, request.container, for_update=True)
    change = await _read(tx, row, request.config)
    writes = [update_container(row.id, **change.values)] if change.values else []
    return Decision(reply=Done(), writes=writes, events=change.events)


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """The changes of a container by its config."""

    values: Mapping[str, Any]
    events: Sequence[Outgoing]


async def applied(
    tx: AsyncConnection, row: Row[Any], config: HostConfig, target: Target, warnings: list[str]
) -> ConfigChange:
    """Return the changes of a container by its config; none if a later one is stored.

    A name that another container has here is not taken over: it becomes a warning.
    """
    if row.config_at is not None and row.config_at >= config.read_at:
        return ConfigChange({}, ())
    spec = with_config(ContainerSpec.model_validate(row.spec), config, target)
    left = [each for each in warnings if each not in {CONFIG_UNREAD, NAME_TAKEN}]
    if spec.hostname != row.hostname:
        try:
            await claim_names(tx, row.cluster_id, [spec.hostname], besides=[row.id])
        except HostnameTaken:
            log.warning(
                "container not renamed: name is taken",
                container=row.id,
                hostname=spec.hostname,
            )
            spec = spec.model_copy(update={"hostname": row.hostname})
            left.append(NAME_TAKEN)
    if _was_started_since(row, config) and DISCOVERY_PENDING not in left:
        left.append(DISCOVERY_PENDING)
    shown: dict[str, object] = {
        "spec": spec.model_dump(mode="json"),
        "hostname": spec.hostname,
        "warnings": left,
        "pending": {key: each.model_dump(mode="json") for key, each in config.pending.items()},
    }
    changes: dict[str, object] = {"config_at": config.read_at}
    if config.power is not None and is_newer(config.read_at, Power(row.power), row.observed_at):
        changes["observed_at"] = config.read_at
        shown["power"] = config.power
    if all(getattr(row, name) == value for name, value in shown.items()):
        return ConfigChange({**changes, **shown}, ())
    event = ContainerChanged(id=row.id, power=config.power or row.power, observed_at=config.read_at)
    return ConfigChange({**changes, **shown, "updated_at": now()}, [_fact(row, event, "changed")])


async def _read(tx: AsyncConnection, row: Row[Any], config: HostConfig | None) -> ConfigChange:
    """Return the changes by a config that monitor read; a job that makes or removes it reads its own."""
    if config is None or row.lifecycle not in HOLDING:
        return ConfigChange({}, ())
    return await applied(tx, row, config, target_of(row), list(row.warnings))


async def decide_reveal(tx: AsyncConnection, container: Id, credential: Id) -> Decision[Row[Any]]:
    """Return a credential's row, and note who asked."""
    row = await credential_row(tx, container, credential)
    note = AuditNote(action="credential.reveal", target=container, details={"name": row.name})
    return Decision(reply=row, audit=[note])


async def decide_forget(tx: AsyncConnection, container: Id) -> Decision[None]:
    """Drop a container; its lifecycle is stored in case it comes back.

    Raises:
        JobActive: if a job works on it.
        IllegalTransition: if it is being created or deleted, or gone already.
    """
    row = await container_row(tx, container, for_update=True)
    await refuse_busy(tx, row.id)
    return _noted(row, "forget", [move(row, Trigger.FORGOTTEN)], forgotten(row))


async def decide_return(tx: AsyncConnection, container: Id, node: str) -> Decision[None]:
    """Store a forgotten container again, where it was seen.

    Raises:
        HostnameTaken: if another one got its name meanwhile.
        VmidTaken: if another one got its VMID meanwhile.
    """
    row = await container_row(tx, container, for_update=True)
    if row.forgotten_as is None or await is_removed(tx, row.cluster_id):
        return Decision(reply=None)
    await claim_names(tx, row.cluster_id, [row.hostname], besides=[row.id])
    was_ready = row.forgotten_as == Lifecycle.READY
    trigger = Trigger.SEEN_AGAIN if was_ready else Trigger.REMAINS_SEEN_AGAIN
    writes = [move(row, trigger), update_container(row.id, node=node, node_at=now())]
    fact = _fact(row, ContainerFound(**_names(row), node=node), "found")
    return _noted(row, "found", writes, fact)


async def decide_release(tx: AsyncConnection, container: Id) -> Decision[None]:
    """Give up a container whose VMID Proxmox calls free: its name and VMID can be used again.

    Of a failed one the secrets stay as long as its creation can be done again.
    """
    row = await container_row(tx, container, for_update=True)
    if row.lifecycle not in HOLDING:
        return Decision(reply=None)
    await refuse_busy(tx, row.id)
    secrets = [delete_credentials(row.id)] if row.lifecycle == Lifecycle.READY else []
    writes = [*secrets, move(row, Trigger.FOUND_GONE)]
    return _noted(row, "gone", writes, _fact(row, ContainerDeleted(**_names(row)), "gone"))


def move(row: Row[Any], trigger: Trigger) -> Write:
    """Return the change that moves a container on in its life."""
    changes = moved(Lifecycle(row.lifecycle), trigger)
    return update_container(row.id, **changes, warnings=[], updated_at=now())


def forgotten(row: Row[Any]) -> Outgoing:
    """Return the fact that a container was forgotten."""
    return _fact(row, ContainerForgotten(**_names(row)), "forgotten")


def _names(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "vmid": row.vmid, "hostname": row.hostname, "cluster": row.cluster_id}


def _fact(row: Row[Any], event: Event, name: str) -> Outgoing:
    return Outgoing(message=event, message_id=f"container:{row.id}:{name}:{new_id()}")


def _noted(row: Row[Any], name: str, writes: list[Write], fact: Outgoing) -> Decision[None]:
    note = AuditNote(action=f"container.{name}", target=row.id, details={"hostname": row.hostname})
    return Decision(reply=None, writes=writes, events=[fact], audit=[note])


def _was_started_since(row: Row[Any], config: HostConfig) -> bool:
    """Return whether it runs since later than it was looked into: it may have another address by now."""
    seen, started = row.discovered_at, config.started_at
    return seen is not None and started is not None and started > seen
