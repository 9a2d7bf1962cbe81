"""Leases: never two holders, and a silent one is replaced."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import pytest
from nats.aio.client import Client

from slipway.runtime.bus.locks import Lease
from slipway.runtime.errors import LeaseHeld
from slipway.standalone.embedded.nats import EmbeddedNats
from support.nats import MakeBus

TTL = timedelta(seconds=1)


async def test_a_second_holder_is_refused_at_once_and_admitted_after(make_bus: MakeBus) -> None:
    """A lease held by somebody is a conflict now, and free as soon as he lets go; fences only grow."""
    first, second = await make_bus("monitor"), await make_bus("monitor")

    async with Lease(first, "poll.c1", TTL) as held:
        with pytest.raises(LeaseHeld):
            async with Lease(second, "poll.c1", TTL):
                pass
    async with Lease(second, "poll.c1", TTL) as later:
        assert later.fence > held.fence > 0


async def test_a_held_lease_is_renewed(make_bus: MakeBus) -> None:
    """A holder keeps his lease longer than its time to live."""
    first, second = await make_bus("monitor"), await make_bus("monitor")

    async with Lease(first, "poll.c1", TTL) as lease:
        await asyncio.sleep(2.5)
        assert not lease.lost.is_set()
        with pytest.raises(LeaseHeld):
            async with Lease(second, "poll.c1", TTL):
                pass


async def test_a_silent_holder_is_replaced(make_bus: MakeBus) -> None:
    """A holder that died lets somebody else in after the time to live, with a higher fence."""
    first, second = await make_bus("monitor"), await make_bus("monitor")
    dead = await Lease(first, "poll.c1", TTL).__aenter__()
    assert dead._renewing is not None
    dead._renewing.cancel()
    started = time.monotonic()

    while True:
        try:
            async with Lease(second, "poll.c1", TTL) as lease:
                break
        except LeaseHeld:
            assert time.monotonic() - started < 5
            await asyncio.sleep(0.1)

    assert lease.fence > dead.fence


async def test_a_lost_lease_is_noticed(make_bus: MakeBus, admin: Client) -> None:
    """Whoever holds a lease learns that it went to somebody else."""
    bus = await make_bus("monitor")

    async with Lease(bus, "poll.c1", TTL) as lease:
        await admin.jetstream().publish("$KV.locks.poll.c1", b"somebody else")
        await asyncio.wait_for(lease.lost.wait(), 2)

    message = await admin.jetstream().get_msg("KV_locks", subject="$KV.locks.poll.c1")
    assert message.data == b"somebody else"


async def test_a_frozen_bus_leaves_no_lease_behind(make_bus: MakeBus, nats_server: EmbeddedNats) -> None:
    """What was sent for a renewal is stored when the bus goes on, and is taken back by its sender."""
    bus, ttl = await make_bus("monitor"), timedelta(seconds=6)

    async with Lease(bus, "poll.c1", ttl) as lease:
        os.kill(nats_server.server.pid, signal.SIGSTOP)
        try:
            await asyncio.wait_for(lease.lost.wait(), 10)
        finally:
            os.kill(nats_server.server.pid, signal.SIGCONT)

    async with Lease(bus, "poll.c1", ttl) as again:
        assert again.fence > lease.fence


async def test_many_contenders_never_hold_together(make_bus: MakeBus) -> None:
    """Under contention there is one holder at a time and each fence is higher than the one before."""
    buses = [await make_bus("monitor") for _ in range(3)]
    inside, fences = 0, []

    async def contend(number: int) -> None:
        nonlocal inside
        for _ in range(10):
            try:
                async with Lease(buses[number % 3], "poll.c1", TTL) as lease:
                    inside += 1
                    assert inside == 1
                    fences.append(lease.fence)
                    await asyncio.sleep(0.005)
                    inside -= 1
            except LeaseHeld:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(contend(number) for number in range(6)))

    assert fences == sorted(set(fences))
    assert len(fences) > 5
