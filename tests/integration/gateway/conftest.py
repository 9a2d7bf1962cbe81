"""The gateway as a process would run it, between real viewers over HTTP and buses that answer it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.gateway.app import MIGRATIONS, assemble
from slipway.gateway.settings import GatewaySettings
from slipway.runtime.process.service import Service
from slipway.runtime.topology.identities import generate
from slipway.standalone.embedded.nats import EmbeddedNats
from support.gateway_side import MOST_VIEWERS, TOKEN, Others, url_of
from support.nats import MakeBus
from support.postgres import Databases


@pytest.fixture
async def others(tmp_path: Path, make_bus: MakeBus) -> Others:
    """Inventory and catalog, as far as the gateway hears of them."""
    others = Others(generate(tmp_path / "keys"))
    await make_bus("inventory", others.as_inventory)
    await make_bus("catalog", others.as_catalog)
    await make_bus("provisioner", others.as_provisioner)
    await make_bus("monitor", others.as_monitor)
    return others


@pytest.fixture
def changes() -> Mapping[str, Any]:
    """What a test wants to be set otherwise; it comes by parametrization."""
    return {}


@pytest.fixture
async def gateway(
    others: Others,
    tmp_path: Path,
    databases: Databases,
    nats_server: EmbeddedNats,
    changes: Mapping[str, Any],
) -> AsyncIterator[Service]:
    """A running gateway."""
    database = await databases.make("gateway", MIGRATIONS)
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    settings = GatewaySettings(
        **database.model_dump(),
        nats_url=nats_server.url,
        bootstrap_token_file=token_file,
        sealing_key_file=others.identities.sealing_file("gateway"),
        sealing_public_file=others.identities.public_file,
        heartbeat_comments=timedelta(seconds=0.3),
        slow_viewer_grace=timedelta(seconds=0.5),
        most_viewers=MOST_VIEWERS,
        request_timeout=timedelta(seconds=2),
        **changes,
        graceful_timeout=timedelta(seconds=3),
    )
    service = assemble(settings)
    serving = asyncio.create_task(service.serve())
    async with asyncio.timeout(15):
        await service.ready.wait()
        async with httpx.AsyncClient(base_url=url_of(service)) as probe:
            for _ in range(500):
                if (await probe.get("/readyz")).is_success:
                    break
                await asyncio.sleep(0.02)
    yield service
    service.stopping.set()
    await serving


@pytest.fixture
async def anyone(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with httpx.AsyncClient(base_url=url_of(gateway), timeout=10) as client:
        yield client


@pytest.fixture
async def user(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with the token."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url_of(gateway), headers=token, timeout=10) as client:
        yield client
