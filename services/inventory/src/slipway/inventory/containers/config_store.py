"""Keeps configs that were read on hosts: after a job, or since others may have changed something."""

from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.configs import HostConfig, StoreConfig
from slipway.contracts.containers import ContainerChanged, ContainerSpec
from slipway.contracts.jobs import Target
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING
from slipway.inventory.containers.claims import HostnameTaken, claim_names
from slipway.inventory.containers.configs import NAME_TAKEN, with_config
from slipway.inventory.containers.lifecycle import HOLDING
from slipway.inventory.containers.store import container_row, target_of
from slipway.inventory.tables import containers
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.logs import get_logger

log = get_logger()


class ConfigStore:
    """Takes configs that monitor read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, query: StoreConfig) -> None:
        """Keep a container's config. Idempotent: only what was read later is taken."""
        async with self._database.begin() as connection:
            row = await container_row(connection, query.container, for_update=True)
            if row.lifecycle not in HOLDING:
                return
            changes = await applied(connection, row, query.config, target_of(row), list(row.warnings))
            if changes:
                await connection.execute(
                    update(containers).where(containers.c.id == row.id).values(**changes)
                )


async def applied(
    connection: AsyncConnection, row: Row[Any], config: HostConfig, target: Target, warnings: list[str]
) -> dict[str, object]:
    """Give what changes in a container's row by its config; nothing if a later one is known.

    A name that another container has here is not followed: it is said as a warning.
    """
    if row.config_at is not None and row.config_at >= config.read_at:
        return {}
    spec = with_config(ContainerSpec.model_validate(row.spec), config, target)
    left = [each for each in warnings if each not in {CONFIG_UNREAD, NAME_TAKEN}]
    if spec.hostname != row.hostname:
        try:
            await claim_names(connection, row.cluster_id, [spec.hostname], besides=[row.id])
        except HostnameTaken:
            log.warning(
                "a container's name on its host is another's", container=row.id, hostname=spec.hostname
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
    if config.power is not None and (row.observed_at is None or row.observed_at < config.read_at):
        changes["observed_at"] = config.read_at
        shown["power"] = config.power
    if any(getattr(row, name) != value for name, value in shown.items()):
        power = config.power or row.power
        told = ContainerChanged(id=row.id, power=power, observed_at=config.read_at)
        await outbox.add(connection, told, message_id=f"container:{row.id}:changed:{new_id()}")
        shown["updated_at"] = now()
    return {**changes, **shown}


def _was_started_since(row: Row[Any], config: HostConfig) -> bool:
    """Whether it runs since later than it was looked into: it may have another address by now."""
    seen, started = row.discovered_at, config.started_at
    return seen is not None and started is not None and started > seen
