"""One Slipway with a lab of two nodes for all tests of this folder; it ends with the last of them."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from slipway.standalone.lab import read_lab
from support.pve_schema import check_record
from support.stack import RunningStack, running_stack, stack_folder
from support.waiting import until


@pytest.fixture(scope="package")
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

    async def is_removed(name: str) -> bool:
        # A busy machine may not answer in time what it has done all the same: it is asked again.
        return (await client.delete(f"/api/v1/clusters/{name}")).is_success

    async with two_node_stack.client() as client:
        clusters = (await client.get("/api/v1/clusters")).json()["items"]
        if [(each["name"], each["token_id"]) for each in clusters] == [(body["name"], body["token_id"])]:
            return
        for each in clusters:
            await until(partial(is_removed, each["name"]))
        added = await client.post("/api/v1/clusters", json=body)
        assert added.is_success, added.text
        await until(is_usable, within_seconds=30)
