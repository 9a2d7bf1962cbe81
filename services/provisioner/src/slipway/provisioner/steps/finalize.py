"""Phase finalize, its end: the discovery of services and credentials."""

import asyncio

from slipway.contracts.guests import Discovery
from slipway.contracts.job_kinds import ConfigureArgs
from slipway.contracts.problems import SlipwayError, Superseded
from slipway.contracts.values import DISCOVERY_PENDING, STILL_STARTING, WITHOUT_ADDRESS
from slipway.provisioner.engine.step import SKIPPED, Result
from slipway.provisioner.host.discovery import query_of
from slipway.provisioner.host.work import Work
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Deadline

DISCOVERY_SECONDS = 60.0
REDISCOVERY_SECONDS = 20.0
"""After a change of a container that existed before; monitor discovers later what is missing then."""
UNSETTLED_SECONDS = 5.0
"""For a guest that is known not to settle soon: it still boots, or lacks an address."""
_PAUSE_SECONDS = 0.5


async def discover(work: Work) -> Result:
    """Ask monitor to look into the guest; without an answer the container is ready all the same."""
    is_late = any(each.startswith((STILL_STARTING, WITHOUT_ADDRESS)) for each in work.journal.record.warnings)
    return await _discover(work, UNSETTLED_SECONDS if is_late else DISCOVERY_SECONDS)


async def rediscover(work: Work) -> Result:
    """Look into the guest anew, if it runs: it may have another address, and other services."""
    if not work.cluster.access.tier.uses_ssh:
        return SKIPPED
    try:
        is_running = await work.is_running()
    except Superseded:
        raise
    except SlipwayError as error:
        return await _pending(work, error.code, error.message)
    return await _discover(work, REDISCOVERY_SECONDS) if is_running else SKIPPED


async def rediscover_networks(work: Work) -> Result:
    """Look into the guest anew, if its networks were changed and it runs."""
    networks = work.command.args_as(ConfigureArgs).networks
    return await rediscover(work) if networks is not None else SKIPPED


async def _discover(work: Work, seconds: float) -> Result:
    query = query_of(work)
    deadline = Deadline(seconds)
    while True:
        try:
            discovery = await work.bus.ask(query)
        except Superseded:
            raise
        except SlipwayError as error:
            if deadline.has_passed or error.kind != "unavailable":
                return await _pending(work, error.code, error.message)
        else:
            if discovery.is_settled:
                return _result(discovery)
            if deadline.has_passed:
                reason = "it has no address yet" if discovery.address is None else "it has not settled yet"
                return await _pending(work, "guest.not-settled", reason)
        await asyncio.sleep(_PAUSE_SECONDS)


def _result(discovery: Discovery) -> Result:
    names = ", ".join(each.name for each in discovery.services if not each.is_system)
    address = f"address: {discovery.address or 'none'}"
    credentials = f"credentials: {len(discovery.credentials)}"
    return Result(message=f"{address}; services: {names or 'none'}; {credentials}")


async def _pending(work: Work, code: str, reason: str) -> Result:
    work.warn(DISCOVERY_PENDING)
    get_logger().warning("discovery pending", job=work.command.job, code=code, why=reason)
    return Result(message=f"not discovered yet: {reason}")
