"""One whole Slipway with a lab for all tests here; they reach it through HTTP, SSE and NATS only."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from support.stack import RunningStack, running_stack, stack_folder


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
