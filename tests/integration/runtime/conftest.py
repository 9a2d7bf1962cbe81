"""A nats-server that knows its users, as in an installation, and connections of each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from slipway.runtime.bus.client import Bus
from slipway.runtime.topology import mirror, reconcile
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from support.folders import open_folder
from support.nats import SMALL, settings_of
from support.users import Connect, MakeUser


@pytest.fixture(scope="module")
def identities() -> Iterator[Identities]:
    """Keys of every user."""
    with open_folder("keys") as folder:
        yield generate(folder / "keys")


@pytest.fixture
def guarded(nats_folder: Path, identities: Identities) -> Iterator[EmbeddedNats]:
    """A server that knows the users."""
    options = NatsOptions(max_file_store="512MB", users_file=identities.users_file)
    server = EmbeddedNats(nats_folder, options)
    server.start()
    yield server
    server.server.kill()


@pytest.fixture
async def connect(guarded: EmbeddedNats, identities: Identities) -> AsyncIterator[Connect]:
    """A maker of raw connections, as a user; its `refusals` are what the server said no to."""
    async with AsyncExitStack() as stack:

        async def make(user: str, **options: Any) -> Client:
            refusals: list[str] = []

            async def note(error: Exception) -> None:
                refusals.append(str(error))

            client = await nats.connect(
                guarded.url,
                nkeys_seed=str(identities.nkey_file(user)),
                error_cb=note,
                **({"inbox_prefix": f"_INBOX_{user}"} | options),
            )
            client.refusals = refusals  # type: ignore[attr-defined]  # a note on the client, for the test
            stack.push_async_callback(client.close)
            return client

        await reconcile.apply(await make("admin"), SMALL)
        await mirror.apply_mirror(await make("integrators-admin"), SMALL)
        yield make


@pytest.fixture
async def make_user(
    guarded: EmbeddedNats, identities: Identities, connect: Connect
) -> AsyncIterator[MakeUser]:
    """A maker of started buses with their own keys."""
    async with AsyncExitStack() as stack:

        async def make(service: str, register: Callable[[Bus], None] | None = None) -> Bus:
            key = identities.nkey_file(service)
            bus = Bus(settings_of(guarded.url, nats_nkey_file=key), service=service)
            if register is not None:
                register(bus)
            await asyncio.wait_for(bus.start(), 10)
            stack.push_async_callback(bus.drain)
            return bus

        yield make
