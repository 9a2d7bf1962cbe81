"""dead letters: read, handled again by who could not, removed; with real keys, so rights are seen too."""

import asyncio

import pytest

from slipway.contracts.clusters import ClusterAdded
from slipway.contracts.problems import Failed
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.bus.dead_letters import (
    DeadLetterNotFound,
    dead_letter,
    dead_letter_page,
    drop_dead_letter,
    whole,
)
from support.users import MakeUser
from support.waiting import until


class Handler:
    """Fails until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.handled: list[tuple[str, str]] = []

    async def __call__(self, event: ClusterAdded, delivery: Delivery) -> None:
        """Handle one event."""
        if not self.is_mended:
            raise Failed("The disk is broken.", code="disk.broken")
        self.handled.append((event.id, delivery.message_id))

    def at(self, bus: Bus) -> None:
        """Register at monitor's bus."""
        bus.consume(ClusterAdded, self, durable="monitor-clusters")


async def test_an_event_is_handled_again(make_user: MakeUser) -> None:
    """It stays as long as it can't be handled, and has all it came with when it can."""
    handler = Handler()
    monitor, inventory = await make_user("monitor", handler.at), await make_user("inventory")
    gateway = await make_user("gateway")
    await inventory.publish(ClusterAdded(id="c1", name="home"), message_id="cluster:c1")
    await _count(gateway, 1)

    (letter,), remaining = await dead_letter_page(gateway.connection, after=0, most=10)
    seen = whole(await dead_letter(gateway.connection, letter.id))
    with pytest.raises(Failed):
        await monitor.handle_again(letter.id)
    handler.is_mended = True
    await monitor.handle_again(letter.id)
    await drop_dead_letter(inventory.connection, letter.id)

    assert remaining == 0
    assert (letter.service, letter.consumer, letter.subject) == (
        "monitor",
        "monitor-clusters",
        "slipway.v1.event.cluster.c1.added",
    )
    assert (letter.problem.code, letter.message_id, letter.attempts) == ("disk.broken", "cluster:c1", 1)
    assert seen.body == ClusterAdded(id="c1", name="home").model_dump_json()
    assert seen.headers["ce-type"] == "slipway.v1.event.cluster.added"
    assert handler.handled == [("c1", "cluster:c1")]
    with pytest.raises(DeadLetterNotFound):
        await dead_letter(gateway.connection, letter.id)


async def test_nobody_else_removes_one(make_user: MakeUser) -> None:
    """Only inventory, which writes the audit log, may remove a dead letter."""
    handler = Handler()
    await make_user("monitor", handler.at)
    inventory, gateway = await make_user("inventory"), await make_user("gateway")
    await inventory.publish(ClusterAdded(id="c2", name="other"), message_id="cluster:c2")
    await _count(gateway, 1)

    with pytest.raises(Exception):  # noqa: B017, PT011  the server does not answer at all
        await asyncio.wait_for(drop_dead_letter(gateway.connection, 1), 3)

    await _count(gateway, 1)


async def _count(bus: Bus, expected: int) -> None:
    """Wait until so many are there."""

    async def are_there() -> bool:
        items, _ = await dead_letter_page(bus.connection, after=0, most=10)
        return len(items) == expected

    await until(are_there)
