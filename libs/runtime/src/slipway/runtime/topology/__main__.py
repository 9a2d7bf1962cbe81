"""`python -m slipway.runtime.topology apply`: makes the bus match the declaration, as its administrators."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from slipway.contracts.problems import SlipwayError
from slipway.runtime.bus.connection import close, inbox_prefix, servers_of
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process import logs
from slipway.runtime.process.settings import ServiceSettings, SettingsProblem, explain
from slipway.runtime.topology.declared import TopologySettings
from slipway.runtime.topology.mirror import apply_mirror
from slipway.runtime.topology.reconcile import Change, apply


class AdminSettings(ServiceSettings, TopologySettings):
    """How both administrators reach the bus, and what they declare."""

    model_config = SettingsConfigDict(extra="forbid")
    table = "topology"

    integrators_nkey_file: Path | None = None
    """The nkey seed of `integrators-admin`; without it integrators get no copy of the events."""


async def apply_as_admin(settings: AdminSettings) -> list[Change]:
    """Connect with the administrators' keys and apply the topology.

    Services wait for the topology, but not for the integrators' mirror: a problem with it is only logged.
    """
    async with connected(settings, settings.nats_nkey_file, "admin") as connection:
        changes = await apply(connection, settings)
    if settings.integrators_nkey_file is None:
        logs.get_logger().info("no mirror for integrators: SLIPWAY_INTEGRATORS_NKEY_FILE is not set")
        return changes
    try:
        async with connected(settings, settings.integrators_nkey_file, "integrators-admin") as connection:
            return changes + await apply_mirror(connection, settings)
    except SlipwayError as error:
        logs.get_logger().error("integrators have no up-to-date mirror", error=str(error))
        return changes


@asynccontextmanager
async def connected(settings: AdminSettings, key: Path | None, user: str) -> AsyncIterator[Client]:
    """Connect as one of the administrators."""
    try:
        connection = await nats.connect(
            list(servers_of(settings)),
            nkeys_seed=str(key) if key else None,
            name=f"slipway-{user}",
            inbox_prefix=inbox_prefix(user),
            max_reconnect_attempts=10,
            reconnect_time_wait=0.5,
            error_cb=_note,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"The bus can't be reached at {settings.nats_url}: {error}") from error
    try:
        yield connection
    finally:
        await close(connection)


async def _note(error: Exception) -> None:
    logs.get_logger().debug("bus connection error", error=str(error))


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] != ["apply"]:
        sys.exit("usage: python -m slipway.runtime.topology apply")
    try:
        logs.configure("topology")
        changes = asyncio.run(apply_as_admin(AdminSettings()))
    except ValidationError as error:
        sys.exit("\n".join(explain(error)))
    except (SettingsProblem, SlipwayError) as error:
        sys.exit(str(error))
    if not changes:
        logs.get_logger().info("topology unchanged")


if __name__ == "__main__":
    main()
