"""What a running guest's addresses become when its networks change."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from slipway.lab.node import Lab
from support.lab import root_client, running_lab, started

CONTAINER = "/nodes/lab/lxc/100"
DEVICE = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Run a lab."""
    async with running_lab(tmp_path) as running:
        yield running


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    """Log root in."""
    async with root_client(lab) as opened:
        yield opened


async def addresses(client: httpx.AsyncClient) -> list[str | None]:
    """Return the IPv4 address of each device but `lo`."""
    rows = (await client.get(f"{CONTAINER}/interfaces")).json()["data"]
    return [row.get("inet") for row in rows if row["name"] != "lo"]


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (f"{DEVICE},ip=10.99.0.2/24", f"{DEVICE},ip=10.99.0.3/24", "10.99.0.3/24"),
        (f"{DEVICE},ip=10.99.0.2/24", f"{DEVICE},ip=dhcp", None),
        (f"{DEVICE},ip=10.99.0.2/24", f"{DEVICE},ip=10.99.0.2/24,gw=10.99.0.1", "10.99.0.2/24"),
        (f"{DEVICE},ip=dhcp", "name=eth0,bridge=vmbr0,ip=dhcp", None),
        (f"{DEVICE},ip=dhcp", "name=eth0,bridge=vmbr0,ip=10.99.0.4/24", "10.99.0.4/24"),
    ],
)
async def test_addresses_follow_a_change(
    lab: Lab, client: httpx.AsyncClient, before: str, after: str, held: str | None
) -> None:
    """A static address is there at once; nobody asks for a lease before the next start."""
    await started(client, lab, net0=before)

    answer = await client.put(f"{CONTAINER}/config", data={"net0": after})

    assert answer.status_code == 200
    assert await addresses(client) == [held]


async def test_a_gateway_outside_of_the_network_gets_a_route(lab: Lab, client: httpx.AsyncClient) -> None:
    """As in PVE::LXC, `update_ipconfig`: the guest reaches it although no network of its own has it."""
    await started(client, lab, net0=f"{DEVICE},ip=10.99.0.2/24")

    answer = await client.put(
        f"{CONTAINER}/config", data={"net0": f"{DEVICE},ip=203.0.113.9/32,gw=203.0.113.1"}
    )

    assert answer.status_code == 200
    assert await addresses(client) == ["203.0.113.9/32"]


async def test_two_gateways_leave_the_guest_without_an_address(lab: Lab, client: httpx.AsyncClient) -> None:
    """The start is a success all the same."""
    await started(
        client, lab, net0=f"{DEVICE},ip=10.99.0.2/24,gw=10.99.0.1",
        net1="name=eth1,bridge=vmbr0,ip=10.98.0.2/24,gw=10.98.0.1",
    )  # fmt: skip

    assert set(await addresses(client)) == {None}
