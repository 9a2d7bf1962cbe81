"""The gateway as a process would run it, between real viewers over HTTP and buses that answer it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.gateway.app import MIGRATIONS
from slipway.runtime.process.service import Service
from slipway.standalone.embedded.nats import EmbeddedNats
from support.clients import http_client
from support.gateway_side import TOKEN, Others, answering_others, running_gateway, url_of
from support.nats import MakeBus
from support.postgres import Databases


@pytest.fixture
async def others(tmp_path: Path, make_bus: MakeBus) -> Others:
    """Inventory and catalog, as far as the gateway hears of them."""
    return await answering_others(make_bus, tmp_path)


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
    async with running_gateway(database, nats_server, others, tmp_path, **changes) as service:
        yield service


@pytest.fixture
async def anyone(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with http_client(base_url=url_of(gateway), timeout=10) as client:
        yield client


@pytest.fixture
async def user(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with the token."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with http_client(base_url=url_of(gateway), headers=token, timeout=10) as client:
        yield client
