"""One whole Slipway with a lab for all tests of this folder; they reach it through HTTP, SSE and NATS only.

It ends with the last of them. Those in a folder below have another one, or one each.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from support.browser import Browsing, browsing, sign_in
from support.pve_schema import check_record
from support.stack import SOON_TAKEN_OVER, RunningStack, create, job_events, running_stack, stack_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def stack() -> Iterator[RunningStack]:
    """`slipway up --lab` on simulated guests; at the end, each request to Proxmox fits its schema."""
    with stack_folder() as data:
        templates = data.parent / "lxc" / "templates"
        shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
        shutil.copytree(Path(__file__).parent / "templates", templates, dirs_exist_ok=True)
        environment = {"SLIPWAY_TEMPLATES_DIR": str(templates), **SOON_TAKEN_OVER}
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as running:
            yield running
        assert running.record.read_text().count("\n") > 10
        assert check_record(running.record) == []


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client


@pytest.fixture(scope="package")
def ready(stack: RunningStack) -> dict[str, Any]:
    """A container that runs, as it is shown; no test changes it."""
    return asyncio.run(_made(stack))


async def _made(stack: RunningStack) -> dict[str, Any]:
    async with stack.client() as api:
        accepted = await create(api, template="debian-base", hostname=f"ready-{secrets.token_hex(3)}")
        events = await job_events(api, accepted["job"]["id"])
        assert events[-1].content["state"] == "succeeded", events[-1].text
        body: dict[str, Any] = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return body


@pytest.fixture
async def visit(stack: RunningStack) -> AsyncIterator[Browsing]:
    """The page, open and not signed in."""
    async with browsing(stack.endpoints["http"]) as opened:
        answer = await opened.page.goto("/")
        assert answer is not None
        assert "default-src 'self'" in (await answer.header_value("content-security-policy") or "")
        yield opened


@pytest.fixture
async def signed_in(visit: Browsing, stack: RunningStack) -> Browsing:
    """The page, signed in with the bootstrap secret."""
    await sign_in(visit.page, stack.token)
    await expect(visit.page.get_by_role("heading", name="Containers", exact=True)).to_be_visible()
    return visit
