"""What is listed, in which order, page by page."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import ListContainers
from slipway.contracts.values import ContainerSort, Lifecycle, Power
from slipway.inventory import paging, tables
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.containers.store import ContainerStore
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from support.postgres import Databases

CLUSTER = {"id": "cl-1", "name": "lab", "spec": {}, "secrets": {}, "version": "9", "offered_host_keys": {}}
HOSTNAMES = ("delta", "alpha", "charlie", "bravo")


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[ContainerStore]:
    """Four containers that differ, and one that is deleted."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    rows = [_row(number, hostname) for number, hostname in enumerate(HOSTNAMES)]
    rows.append({**_row(9, "gone"), "lifecycle": Lifecycle.DELETED})
    async with database.begin() as connection:
        await connection.execute(insert(tables.clusters).values(**CLUSTER, created_at=now()))
        await connection.execute(insert(tables.containers), rows)
    yield ContainerStore(database)
    await database.dispose()


def _row(number: int, hostname: str) -> dict[str, Any]:
    is_even = number % 2 == 0
    spec = ContainerSpec(hostname=hostname, tags=("prod", "Web.1") if is_even else ("product",))
    return {
        "id": f"c-{number}",
        "cluster_id": "cl-1",
        "node": "pve" if is_even else "pve2",
        "hostname": hostname,
        "vmid": 200 - number,
        "vmid_is_provisional": False,
        "template": "nginx-site" if is_even else None,
        "spec": spec.model_dump(mode="json"),
        "lifecycle": Lifecycle.READY if number else Lifecycle.FAILED,
        "power": Power.RUNNING if number else Power.STOPPED,
        "services": [],
        "warnings": [],
        "created_at": now(),
        "updated_at": now(),
    }


@pytest.mark.parametrize(
    ("query", "hostnames"),
    [
        (ListContainers(), HOSTNAMES),
        (ListContainers(cluster="lab", node="pve2"), ("alpha", "bravo")),
        (ListContainers(cluster="cl-1", template="nginx-site"), ("delta", "charlie")),
        (ListContainers(cluster="other"), ()),
        (ListContainers(tag="prod"), ("delta", "charlie")),
        (ListContainers(tag="PROD"), ("delta", "charlie")),
        (ListContainers(tag="web.1"), ("delta", "charlie")),
        (ListContainers(lifecycle=(Lifecycle.FAILED, Lifecycle.DELETED)), ("delta",)),
        (ListContainers(power=(Power.RUNNING,), node="pve"), ("charlie",)),
        (ListContainers(sort=ContainerSort.HOSTNAME), tuple(sorted(HOSTNAMES))),
        (ListContainers(sort=ContainerSort.VMID), tuple(reversed(HOSTNAMES))),
        (ListContainers(sort=ContainerSort.VMID_LAST), HOSTNAMES),
        (ListContainers(sort=ContainerSort.CREATED_LAST), tuple(reversed(HOSTNAMES))),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_filters_and_order_hold_from_page_to_page(
    store: ContainerStore, query: ListContainers, hostnames: tuple[str, ...], limit: int
) -> None:
    """All pages together are the list, each once; deleted ones are in none."""
    names: list[str] = []
    cursor = None
    while True:
        page = await store.list(query.model_copy(update={"limit": limit, "cursor": cursor}))
        names += [each.hostname for each in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert tuple(names) == hostnames


async def test_a_long_list_is_read_in_portions(databases: Databases) -> None:
    """More rows than are read at once, on one page and none twice."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    number = paging.PORTION * 2 + 1
    async with database.begin() as connection:
        await connection.execute(insert(tables.clusters).values(**CLUSTER, created_at=now()))
        rows = [{**_row(each, f"n{each}"), "vmid": 1000 + each} for each in range(number)]
        await connection.execute(insert(tables.containers), rows)

    page = await ContainerStore(database).list(ListContainers(limit=1000, sort=ContainerSort.VMID))
    await database.dispose()

    assert ([each.vmid for each in page.items], page.next) == (list(range(1000, 1000 + number)), None)
