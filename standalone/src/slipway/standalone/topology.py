"""`slipway topology apply`: create or update the bus's streams, consumers and buckets."""

from slipway.cli.terminal import say
from slipway.runtime.process import logs
from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin


async def apply_topology(**options: object) -> int:
    """Apply the declared topology, with the settings of the environment and the options that are set."""
    logs.configure("topology")
    update = {name: value for name, value in options.items() if value is not None}
    changes = await apply_as_admin(AdminSettings().model_copy(update=update))
    say("\n".join(str(change) for change in changes) or "unchanged")
    return 0
