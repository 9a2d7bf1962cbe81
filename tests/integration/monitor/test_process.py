"""Monitor as a process of its own, with no more rights on the bus than it needs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.cluster_facts import NodeObserved
from slipway.contracts.clusters import TestCluster
from slipway.contracts.guests import GuestChanged, GuestGone
from slipway.lab.node import Lab
from slipway.runtime.bus.client import Bus
from slipway.runtime.topology import reconcile
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from slipway.standalone.embedded.ports import free_port
from support.clients import http_client
from support.inventory_side import Inventory, spec_of
from support.lab import api_client, new_container
from support.nats import SMALL, settings_of
from support.waiting import until


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    """Keys of every user."""
    return generate(tmp_path / "keys")


@pytest.fixture
def guarded(nats_folder: Path, identities: Identities) -> Iterator[EmbeddedNats]:
    """A server that knows the users and their rights."""
    options = NatsOptions(max_file_store="512MB", users_file=identities.users_file)
    server = EmbeddedNats(nats_folder, options)
    server.start()
    yield server
    server.server.kill()


@pytest.fixture
async def watching(guarded: EmbeddedNats, identities: Identities) -> AsyncIterator[Client]:
    """A raw connection that may do anything; it has laid out the topology."""
    seed = str(identities.nkey_file("admin"))
    client = await nats.connect(guarded.url, nkeys_seed=seed, inbox_prefix="_INBOX_admin")
    await reconcile.apply(client, SMALL)
    yield client
    await client.close()


@pytest.fixture
def inventory_side(lab: Lab, identities: Identities) -> Inventory:
    """Inventory's answers, not yet on a bus."""
    return Inventory(lab, identities)


@contextlib.asynccontextmanager
async def process(
    guarded: EmbeddedNats, identities: Identities, record: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    port = free_port()
    settings = {
        "NATS_URL": guarded.url,
        "NATS_NKEY_FILE": str(identities.nkey_file("monitor")),
        "SEALING_KEY_FILE": str(identities.sealing_file("monitor")),
        "SEALING_PUBLIC_FILE": str(identities.public_file),
        "HTTP_PORT": str(port),
        "HEARTBEAT": "1",  # this topology waits three seconds for one
        "POLL_INTERVAL": "0.2",
        "FACTS_INTERVAL": "0.5",
        "PROXMOX_RECORD": str(record),
    }
    environment = {**os.environ, **{f"SLIPWAY_{name}": value for name, value in settings.items()}}
    command = (sys.executable, "-m", "slipway.monitor", "serve")
    running = await asyncio.create_subprocess_exec(*command, env=environment, stderr=PIPE)
    try:
        yield running, f"http://127.0.0.1:{port}"
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def test_process_watches_reports_and_stops(
    guarded: EmbeddedNats, identities: Identities, watching: Client, inventory_side: Inventory, tmp_path: Path
) -> None:
    """Its rights suffice for all it does, its log holds no secret, and SIGTERM ends it cleanly."""
    heard: list[str] = []

    async def note(message: Msg) -> None:
        heard.append(message.subject)

    for kind in (NodeObserved, GuestChanged, GuestGone):
        await watching.subscribe(kind.subject_filter(), cb=note)
    settings = settings_of(guarded.url, nats_nkey_file=identities.nkey_file("inventory"))
    bus = Bus(settings, service="inventory")
    inventory_side.register(bus)
    await bus.start()

    async with process(guarded, identities, tmp_path / "record") as (running, url):
        await until(lambda: "slipway.v1.event.node.c1-lab.observed" in heard, within_seconds=20)
        async with api_client(inventory_side.lab) as client:
            await new_container(client, inventory_side.lab, 100)
            await until(lambda: "slipway.v1.event.guest.c1-100.changed" in heard)
            await client.delete("/nodes/lab/lxc/100")
            await until(lambda: "slipway.v1.event.guest.c1-100.gone" in heard)
        secrets = inventory_side.secrets("home")
        facts = await bus.ask(TestCluster(spec=spec_of(inventory_side.lab), secrets=secrets))
        async with http_client() as http:
            series = (await http.get(f"{url}/metrics")).text
        running.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(running.communicate(), 20)

    await bus.drain()
    assert facts.nodes[0].is_ssh_usable
    assert 'slipway_monitor_poll_age_seconds{cluster="c1"}' in series
    assert running.returncode == 0
    quiet = [line["event"] for line in map(json.loads, log.decode().splitlines()) if line["level"] != "info"]
    assert quiet == []
    secret = inventory_side.lab.token_secret
    assert secret not in log.decode() + (tmp_path / "record").read_text()
