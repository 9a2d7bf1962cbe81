"""What tests with real users of the bus say: who connects, and what the server refuses them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from nats.aio.client import Client

from slipway.runtime.bus.client import Bus

Connect = Callable[..., Awaitable[Client]]
MakeUser = Callable[..., Awaitable[Bus]]


async def refused(client: Client, subjects: Iterable[str]) -> set[str]:
    """Which subjects the server refuses to take or to give; its words come some time after the flush."""
    await client.flush()
    await asyncio.sleep(0.2)
    refusals = " ".join(client.refusals).lower()  # type: ignore[attr-defined]  # set by the fixture
    return {subject for subject in subjects if f'"{subject.lower()}"' in refusals}


async def refused_to_say(client: Client, *subjects: str) -> set[str]:
    """Which subjects a user may not publish."""
    for subject in subjects:
        await client.publish(subject, b"")
    return await refused(client, subjects)


async def refused_to_hear(client: Client, *subjects: str, queue: str = "") -> set[str]:
    """Which subjects a user may not subscribe to."""
    for subject in subjects:
        await client.subscribe(subject, queue=queue)
    return await refused(client, subjects)
