"""Guests that Proxmox's HA manager looks after: their tasks only ask, so the guest itself is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from slipway.contracts.problems import Failed
from slipway.provisioner.steps.work import Work
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import ContainerMissing, TaskTimedOut
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(minutes=5)
_PAUSE_SECONDS = 0.5
BROKEN = frozenset({"error", "fence"})
"""States in which the manager does nothing."""


class HaBroken(Failed):
    """The HA manager does nothing with the guest any more."""

    code = "ha.broken"


def broken(vmid: int, state: str | None) -> HaBroken:
    """Give what to say of a guest that the manager has given up."""
    return HaBroken(
        f"HA shows container {vmid} as {state} and does nothing with it. Take it out of HA and put it in "
        "again (`ha-manager`), then retry.",
        vmid=vmid,
    )


async def until_power(work: Work, wanted: Power, *, deadline: timedelta = DEADLINE) -> None:
    """Wait until a guest is as the step's task only asked for; nothing to wait for if the task did it.

    Raises:
        HaBroken: if the manager has given the guest up.
        TaskTimedOut: if it is not so before the deadline.
    """
    api, target = work.cluster.api, work.target

    async def is_reached() -> bool:
        status = await api.status(target.node, target.vmid)
        if status.ha.state in BROKEN:
            raise broken(target.vmid, status.ha.state)
        return status.status is wanted

    await until(work, is_reached, deadline=deadline)


async def until(work: Work, is_reached: Callable[[], Awaitable[bool]], *, deadline: timedelta) -> None:
    """Wait for what the step's task only asked for."""
    told = work.facts().get("upid")
    if not told or not Upid(told).only_asks:
        return
    await work.journal.tell("Proxmox's HA manager was asked; it acts in a moment.")
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            while not await is_reached():  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError as error:
        raise TaskTimedOut(
            f"HA was asked ({Upid(told).type}) for container {work.target.vmid} and has not done it yet; see "
            "the HA status of the cluster.",
            upid=told,
        ) from error


async def is_managed(work: Work) -> bool:
    """Whether HA looks after the container."""
    try:
        return (await work.cluster.api.status(work.target.node, work.target.vmid)).ha.managed
    except ContainerMissing:
        return False
