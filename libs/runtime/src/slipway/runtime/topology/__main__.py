"""`python -m slipway.runtime.topology apply`: makes the bus match the declaration, as the administrator."""

import asyncio
import sys

import nats
from pydantic import ValidationError

from slipway.contracts.problems import SlipwayError
from slipway.runtime import logs
from slipway.runtime.connection import inbox_prefix, servers_of
from slipway.runtime.problems import BusUnavailable
from slipway.runtime.settings import ServiceSettings, SettingsProblem, explain
from slipway.runtime.topology import Change, apply


async def apply_as_admin(settings: ServiceSettings) -> list[Change]:
    """Connect with the administrator's key and apply the topology."""
    seed = str(settings.nats_nkey_file) if settings.nats_nkey_file else None
    try:
        connection = await nats.connect(
            list(servers_of(settings)),
            nkeys_seed=seed,
            name="slipway-admin",
            inbox_prefix=inbox_prefix("admin"),
            max_reconnect_attempts=10,
            reconnect_time_wait=0.5,
            error_cb=_note,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"The bus can't be reached at {settings.nats_url}: {error}") from error
    try:
        return await apply(connection)
    finally:
        await connection.close()


async def _note(error: Exception) -> None:
    logs.get_logger().debug("bus trouble", error=str(error))


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] != ["apply"]:
        sys.exit("usage: python -m slipway.runtime.topology apply")
    try:
        logs.configure("topology")
        changes = asyncio.run(apply_as_admin(ServiceSettings()))
    except ValidationError as error:
        sys.exit("\n".join(explain(error)))
    except (SettingsProblem, SlipwayError) as error:
        sys.exit(str(error))
    if not changes:
        logs.get_logger().info("topology unchanged")


if __name__ == "__main__":
    main()
