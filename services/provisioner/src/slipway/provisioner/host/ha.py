"""Guests that Proxmox's HA manager manages: their tasks only ask it, so the guest itself is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from slipway.contracts.problems import Failed
from slipway.provisioner.host.tasks import TaskFacts
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import ContainerMissing, TaskTimedOut

DEADLINE = timedelta(minutes=5)
_PAUSE_SECONDS = 0.5
BROKEN = frozenset({"error", "fence"})
"""States in which the manager does nothing."""


class HaBroken(Failed):
    """The HA manager does nothing with the guest any more."""

    code = "ha.broken"


def broken(vmid: int, state: str | None) -> HaBroken:
    """Return the error for a guest that the manager has given up."""
    return HaBroken(
        f"HA shows container {vmid} as {state} and does nothing with it. Take it out of HA and put it in "
        "again (`ha-manager`), then retry.",
        vmid=vmid,
    )


async def until_power(work: Work, power: Power, *, deadline: timedelta = DEADLINE) -> None:
    """Wait until HA has done what the step's task only asked for; do not wait if the task did it itself.

    Raises:
        HaBroken: if the manager has given the guest up.
        TaskTimedOut: if HA has not done it before the deadline.
    """

    async def is_reached() -> bool:
        status = await work.status()
        if status.ha.state in BROKEN:
            raise broken(work.target.vmid, status.ha.state)
        return status.status is power

    await until(work, is_reached, deadline=deadline)


async def until(work: Work, is_reached: Callable[[], Awaitable[bool]], *, deadline: timedelta) -> None:
    """Wait until HA has done what the step's task only asked for."""
    upid = work.facts(TaskFacts).upid
    if upid is None or not upid.only_asks:
        return
    await work.journal.report("Proxmox's HA manager was asked; it acts in a moment.")
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            while not await is_reached():  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError as error:
        raise TaskTimedOut(
            f"HA was asked ({upid.type}) for container {work.target.vmid} and has not done it yet; see "
            "the HA status of the cluster.",
            upid=upid,
        ) from error


async def is_managed(work: Work) -> bool:
    """Return whether HA manages the container."""
    try:
        return (await work.status()).ha.managed
    except ContainerMissing:
        return False
