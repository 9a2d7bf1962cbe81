"""One whole Slipway with a lab for all tests here; they reach it through HTTP, SSE and NATS only."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from support.pve_schema import check_record
from support.stack import RunningStack, running_stack, stack_folder

ROOT = Path(__file__).parents[2]
SOON_TAKEN_OVER = {"SLIPWAY_ACK_WAIT": "4", "SLIPWAY_HEARTBEAT": "1"}
"""A killed worker's job is taken up after four seconds here; other stacks have the default of twelve."""


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


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client
