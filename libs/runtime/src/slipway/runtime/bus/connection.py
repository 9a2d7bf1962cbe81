"""The connection of a service to the bus, and the log of its interruptions.

It never gives up: it reconnects without end, notices a dead peer within 36 seconds, and when the client
library closes for good after all, the process ends with status 1 so that its supervisor starts a new one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from faststream import AckPolicy
from faststream.nats import NatsBroker, NatsNKey
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import ServiceSettings

log = get_logger()

_ANYTHING = "$JS.API.INFO"
"""A request that every user may send to the server."""
CLOSE_SECONDS = 1.0
"""For the last bytes; a server that is frozen never takes them."""


def inbox_prefix(service: str) -> str:
    """Return the prefix of a service's private inboxes; nobody else may listen there."""
    return f"_INBOX_{service}"


@contextlib.contextmanager
def needs_bus(message: str, **details: Any) -> Iterator[None]:
    """Raise `BusUnavailable` with this message if the bus refuses or does not answer what the block asks."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise BusUnavailable(message, **details) from error


async def wait_until_connected(connection: Client, *, within_seconds: float) -> None:
    """Return once the server has answered: it has received everything sent on this connection before.

    Never by the client's own `flush`: after one that ran out of time, the late answer ends the client's
    reading (nats-py 2.16, observed), and from then on `flush` succeeds without asking anybody.

    Raises:
        NatsError, OSError, TimeoutError: if it did not answer.
    """
    with contextlib.suppress(NoRespondersError):
        await connection.request(_ANYTHING, timeout=within_seconds)


async def close(connection: Client) -> None:
    """Close a connection, whatever became of the bus.

    What still waits to be sent can fail the client's own `close` (nats-py 2.16, observed): with an `OSError`
    where the server is gone, or without an end where it is frozen.
    """
    try:
        await asyncio.wait_for(connection.close(), CLOSE_SECONDS)
    except (NatsError, OSError, TimeoutError) as error:
        log.debug("bus connection not closed in good order", error=repr(error))


def servers_of(settings: ServiceSettings) -> Sequence[str]:
    """List the servers of the bus."""
    return [server.strip() for server in settings.nats_url.split(",")]


def make_broker(
    settings: ServiceSettings,
    *,
    service: str,
    closed: Callable[[], Awaitable[None]],
    reconnected: Callable[[], Awaitable[None]],
) -> NatsBroker:
    """Create the broker; nothing is connected yet.

    Args:
        settings: the address of the bus and our identity.
        service: whose user, inboxes and queue group.
        closed: called when the connection is lost for good.
        reconnected: called when it is there again, perhaps to a server that knows nothing of us.
    """
    key = settings.nats_nkey_file
    return NatsBroker(
        servers_of(settings),
        name=f"slipway-{service}-{settings.instance}",
        security=NatsNKey.from_file(key) if key is not None else None,
        inbox_prefix=inbox_prefix(service),
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=18,
        max_outstanding_pings=1,
        error_cb=_report_error,
        reconnected_cb=reconnected,
        closed_cb=closed,
        graceful_timeout=settings.graceful_timeout.total_seconds(),
        ack_policy=AckPolicy.MANUAL,
        # Else a thread looks up the handler's only argument for each message (FastStream 0.7, observed).
        apply_types=False,
        logger=_quiet_logger(),
        log_level=logging.DEBUG,
    )


async def _report_error(error: Exception) -> None:
    # The only place where the reason of a refused publish shows; its caller sees a timeout.
    if "permissions violation" in str(error).lower():
        log.error("bus refused: permission", error=str(error))
    else:
        log.warning("bus connection error", error=str(error) or type(error).__name__)


def _quiet_logger() -> logging.Logger:
    # Not the library's own name: that one has a handler of its own, which writes past our format. And two
    # lines per message cost a third of the throughput, so only its warnings are written.
    logger = logging.getLogger("slipway.faststream")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_is_no_repetition)
    return logger


def _is_no_repetition(record: logging.LogRecord) -> bool:
    """Return whether a warning says what nobody else does, with its traceback.

    The consumer reports a handler that is cancelled, and `_report_error` an error of the connection.
    """
    error = record.exc_info[1] if record.exc_info else None
    is_reported = record.getMessage().startswith("Connection broken with ")
    return not (is_reported or isinstance(error, asyncio.CancelledError))
