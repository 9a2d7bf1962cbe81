"""The integrators' copy of the events, in an account of their own.

Whoever may create a consumer may have the server push stored messages onto any subject of the account. So
integrators do it where no command is executed: in the account INTEGRATORS, on a mirror that holds the events
of EVENTS only, with the sequences of the origin. It pulls through one narrow import; the origin keeps no
state for it but a consumer in memory that ends by itself, so a mirror that lags or is missing costs services
nothing. Its administrator may let the origin push anywhere, so that key is worth as much as `admin`'s.
"""

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import (
    DiscardPolicy,
    ExternalStream,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamSource,
)
from nats.js.errors import NotFoundError

from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.topology.declared import EVENTS, TopologySettings
from slipway.runtime.topology.reconcile import Change, TopologyConflict, differences

log = get_logger()

MIRRORED = "slipway.v1.event.>"
"""What integrators may see: facts, never run records."""
ORIGIN_API = "slipway.origin"
"""Under which the account INTEGRATORS reaches the API of the origin."""
DELIVERED_UNDER = "slipway.mirror"
"""Under which the origin delivers to the mirror."""

_UPDATABLE = {"max_bytes", "max_age", "num_replicas", "allow_direct"}
"""Any other difference is mended with a new copy: nothing is lost but the integrators' consumers."""


def mirror_config(settings: TopologySettings) -> StreamConfig:
    """Return the configuration for the bus; when full, the oldest messages go."""
    return StreamConfig(
        name=EVENTS,
        mirror=StreamSource(
            name=EVENTS,
            filter_subject=MIRRORED,
            external=ExternalStream(api=ORIGIN_API, deliver=DELIVERED_UNDER),
        ),
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        num_replicas=settings.replicas,
        max_bytes=settings.integrators_max_bytes,
        max_age=settings.integrators_max_age.total_seconds(),
        allow_direct=True,
        allow_msg_ttl=True,
        # A request's reply subject can be the API's own: what a reader must not do, nobody may.
        deny_delete=True,
        deny_purge=True,
    )


async def apply_mirror(connection: Client, settings: TopologySettings | None = None) -> list[Change]:
    """Create or update the mirror as the administrator of INTEGRATORS; return the changes."""
    declared = mirror_config(settings or TopologySettings())
    try:
        change = await _apply(connection, declared)
    except (NatsError, TimeoutError) as error:
        raise BusUnavailable(f"The bus did not take the integrators' mirror: {error}") from error
    if change is None:
        return []
    log.info("topology changed", kind=change.kind, name=change.name, done=change.done)
    return [change]


async def _apply(connection: Client, declared: StreamConfig) -> Change | None:
    bus = connection.jetstream()
    name = f"INTEGRATORS/{EVENTS}"
    try:
        info = await bus.stream_info(EVENTS)
    except NotFoundError:
        await bus.add_stream(declared)
        return Change(kind="mirror", name=name, done="created")
    different = differences(declared.as_dict(), info.config.as_dict())
    if not different:
        return None
    if set(different) <= _UPDATABLE and info.config.mirror is not None:
        await bus.update_stream(declared)
        return Change(kind="mirror", name=name, done=f"updated {', '.join(different)}")
    if info.config.mirror is None:
        raise TopologyConflict(
            "EVENTS is no mirror there; is that the key of integrators-admin?", stream=EVENTS
        )
    await bus.delete_stream(EVENTS)
    await bus.add_stream(declared)
    return Change(kind="mirror", name=name, done=f"copied anew for {', '.join(different)}")
