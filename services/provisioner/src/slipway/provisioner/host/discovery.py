"""Asks monitor to look into the job's container."""

from contextlib import suppress
from datetime import timedelta

from slipway.contracts.guests import DiscoverGuest
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.host.work import Work

AHEAD_TIMEOUT = timedelta(seconds=0.5)


def query_of(work: Work, *, is_ahead: bool = False) -> DiscoverGuest:
    """Return the question about the job's container."""
    at = work.target
    return DiscoverGuest(
        container=at.container, cluster=at.cluster, node=at.node, vmid=at.vmid, is_ahead=is_ahead
    )


async def announce(work: Work) -> None:
    """Say that the question comes soon, so that its half second of `pct exec` passes meanwhile."""
    with suppress(SlipwayError):
        await work.bus.ask(query_of(work, is_ahead=True), timeout=AHEAD_TIMEOUT)
