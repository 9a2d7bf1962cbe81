"""One whole Slipway with a lab for all tests here; they reach it through HTTP, SSE and NATS only."""

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import httpx
import pytest

from slipway.contracts.registry import SERVICES
from support.stack import RunningStack, running_stack, stack_folder


@pytest.fixture(scope="session", autouse=True)
def all_services() -> None:
    """A stack needs all five services; while one is not written yet, nothing here can run."""
    missing = [service for service in SERVICES if find_spec(f"slipway.{service}.app") is None]
    if missing:
        pytest.skip(f"not written yet, see docs/notes/status.md: {', '.join(missing)}")


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """`slipway up --lab` on simulated guests."""
    with stack_folder() as data, running_stack("--lab", "--guests", "simulated", data=data) as running:
        yield running


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client
