"""One whole Slipway with a lab for all tests here; they reach it through HTTP, SSE and NATS only."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from chaos.run import copy_templates
from playwright.async_api import expect

from slipway.standalone.lab import read_lab
from support.browser import Browsing, browsing, sign_in
from support.pve_schema import check_record
from support.real_guests import need_real_guests
from support.stack import SOON_TAKEN_OVER, RunningStack, running_stack, stack_folder
from support.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """`slipway up --lab` on simulated guests; at the end, each request to Proxmox fits its schema."""
    with stack_folder() as data:
        templates = data.parent / "lxc" / "templates"
        shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
        shutil.copytree(Path(__file__).parent / "templates", templates, dirs_exist_ok=True)
        given = {"SLIPWAY_TEMPLATES_DIR": str(templates), **SOON_TAKEN_OVER}
        with running_stack("--lab", "--guests", "simulated", data=data, **given) as running:
            yield running
        assert running.record.read_text().count("\n") > 10
        assert check_record(running.record) == []


@pytest.fixture(scope="session")
def two_node_stack() -> Iterator[RunningStack]:
    """`slipway up --lab --nodes 2`; at the end, each request to Proxmox fits its schema."""
    with stack_folder() as data:
        lab = ("--lab", "--guests", "simulated", "--nodes", "2")
        with running_stack(*lab, data=data, SLIPWAY_FACTS_INTERVAL="3") as running:
            yield running
        assert check_record(running.record) == []


@pytest.fixture
async def two(two_node_stack: RunningStack) -> AsyncIterator[RunningStack]:
    """The stack of two nodes; afterwards its lab is known again as it was at its start."""
    yield two_node_stack
    lab = read_lab(two_node_stack.data / "lab")
    assert lab is not None
    body = lab.access()

    async def is_usable() -> bool:
        nodes = (await client.get(f"/api/v1/clusters/{body['name']}")).json()["nodes"]
        return [each["is_ssh_usable"] for each in nodes] == [True, True]

    async with two_node_stack.client() as client:
        clusters = (await client.get("/api/v1/clusters")).json()["items"]
        if [(each["name"], each["token_id"]) for each in clusters] == [(body["name"], body["token_id"])]:
            return
        for each in clusters:
            assert (await client.delete(f"/api/v1/clusters/{each['name']}")).is_success
        added = await client.post("/api/v1/clusters", json=body)
        assert added.is_success, added.text
        await until(is_usable, within_seconds=30)


@pytest.fixture(scope="session")
def real_stack() -> Iterator[RunningStack]:
    """`slipway up --lab` on real containers; at the end, each request to Proxmox fits its schema."""
    need_real_guests()
    with stack_folder() as data:
        templates = copy_templates(data.parent / "lxc")
        with running_stack("--lab", "--guests", "lxc", data=data, **templates) as running:
            yield running
        assert check_record(running.record) == []


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client


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
