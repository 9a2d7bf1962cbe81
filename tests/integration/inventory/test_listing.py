"""What is listed, in which order, page by page."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.containers import Container, DiscoveredService, ListContainers
from slipway.contracts.values import ContainerSort, ContainerView, Lifecycle, Power
from slipway.inventory import paging, tables
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.containers.documents import container_document
from slipway.inventory.containers.pages import ContainerPages
from slipway.inventory.containers.store import ContainerStore
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from support.postgres import Databases

CLUSTER = {"id": "cl-1", "name": "lab", "spec": {}, "secrets": {}, "version": "9", "offered_host_keys": {}}
SERVICE = {"name": "nginx", "port": 80, "url": "http://10.0.0.9:80/"}
HOSTNAMES = ("delta", "alpha", "charlie", "bravo")


@pytest.fixture
async def pages(databases: Databases) -> AsyncIterator[ContainerPages]:
    """Four containers that differ, and one that is deleted."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    rows = [_row(number, hostname) for number, hostname in enumerate(HOSTNAMES)]
    rows.append({**_row(9, "gone"), "lifecycle": Lifecycle.DELETED})
    async with database.begin() as connection:
        await connection.execute(insert(tables.clusters).values(**CLUSTER, created_at=now()))
        await connection.execute(insert(tables.containers), rows)
    yield ContainerPages(database)
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
    pages: ContainerPages, query: ListContainers, hostnames: tuple[str, ...], limit: int
) -> None:
    """All pages together are the list, each once; deleted ones are in none."""
    names: list[str] = []
    cursor = None
    while True:
        documents, cursor = await pages.page(query.model_copy(update={"limit": limit, "cursor": cursor}))
        names += [Container.model_validate_json(each).hostname for each in documents]
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

    documents, following = await ContainerPages(database).page(
        ListContainers(limit=1000, sort=ContainerSort.VMID)
    )
    await database.dispose()

    vmids = [Container.model_validate_json(each).vmid for each in documents]
    assert (vmids, following) == (list(range(1000, 1000 + number)), None)


@pytest.fixture
async def documents(databases: Databases) -> AsyncIterator[tuple[Database, ContainerStore]]:
    """A container with something in every field, and one as an older build stored it."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    full = {
        **_row(1, 'q"uo\\te ü\n'),
        "services": [DiscoveredService.model_validate(SERVICE).model_dump(mode="json")],
        "pending": {"tty": {"now": "2", "after_restart": None}},
        "warnings": ["discovery-pending"],
        "address": "10.0.0.9",
        "observed_at": now(),
    }
    old = {**_row(2, "old"), "spec": {"hostname": "old", "networks": [{"bridge": "vmbr0"}], "lost": 1}}
    secrets = [
        {"id": f"id-{origin}", "container_id": "c-1", "name": name, "origin": origin, "sealed": "x"}
        for name, origin in (("root/password", "root"), ("a/b", "discovered"), ("secret", "variable"))
    ]
    async with database.begin() as connection:
        await connection.execute(insert(tables.clusters).values(**CLUSTER, created_at=now()))
        for row in (full, old):
            await connection.execute(insert(tables.containers).values(**row))
        await connection.execute(insert(tables.credentials), secrets)
    yield database, ContainerStore(database)
    await database.dispose()


async def test_a_document_has_every_field_of_the_contract_once(
    documents: tuple[Database, ContainerStore],
) -> None:
    """No other and none twice, alone as in a list; what an older build did not store has its default."""
    database, store = documents
    pages = ContainerPages(database)

    alone = [container_document(await store.row(each)) for each in ("c-1", "c-2")]
    listed = [(await pages.page(ListContainers()))[0] for _ in range(2)]

    assert list(map(list, listed)) == [alone, alone]
    first, second = (Container.model_validate_json(each) for each in alone)
    for document, container in zip(alone, (first, second), strict=True):
        pairs = json.loads(document, object_pairs_hook=list)
        assert {name for name, _ in pairs} == set(Container.model_fields)
        assert len(pairs) == len(Container.model_fields)
        assert json.loads(document) == container.model_dump(mode="json")
    assert [each.name for each in first.credentials] == ["a/b", "root/password"]
    assert (first.hostname, first.warnings) == ('q"uo\\te ü\n', ("discovery-pending",))
    assert second.spec == ContainerSpec(hostname="old", networks=(NetworkSpec(bridge="vmbr0"),))


async def test_a_summary_is_the_document_without_its_large_parts(
    documents: tuple[Database, ContainerStore],
) -> None:
    """Field by field the same; a list of summaries is in the same order."""
    pages = ContainerPages(documents[0])

    whole, _ = await pages.page(ListContainers())
    summaries, _ = await pages.page(ListContainers(view=ContainerView.SUMMARY))

    left_out = {"spec", "pending", "credentials"}
    expected = [
        {name: value for name, value in json.loads(each).items() if name not in left_out} for each in whole
    ]
    assert [json.loads(each) for each in summaries] == expected
    assert left_out | expected[0].keys() == set(Container.model_fields)


@pytest.mark.parametrize("view", list(ContainerView))
async def test_a_list_that_is_asked_again_has_what_has_changed(
    documents: tuple[Database, ContainerStore], view: ContainerView
) -> None:
    """In a container's own row, and beside it: its job, its credentials, the name of its cluster."""
    database, store = documents
    pages, query = ContainerPages(database), ListContainers(view=view)
    changes = (
        update(tables.containers).where(tables.containers.c.id == "c-1").values(power=Power.STOPPED),
        insert(tables.jobs).values(_job("c-1")),
        delete(tables.credentials).where(tables.credentials.c.name == "a/b"),
        update(tables.clusters).values(name="other"),
        update(tables.containers).where(tables.containers.c.id == "c-2").values(lifecycle=Lifecycle.DELETED),
    )
    await pages.page(query)

    for change in changes:
        async with database.begin() as connection:
            await connection.execute(change)
        listed, _ = await pages.page(query)

        rows = [await store.row(each) for each in ("c-1", "c-2")]
        alone = [container_document(row) for row in rows if row["lifecycle"] != Lifecycle.DELETED]
        for document, whole in zip(listed, alone, strict=True):
            expected = json.loads(whole)
            assert json.loads(document).items() <= expected.items()
    assert json.loads(listed[0])["job"] == "job-1"


def _job(container: str) -> dict[str, Any]:
    states = {"state": "running", "percent": 0, "record_sequence": 0}
    return {
        "id": "job-1",
        "kind": "container.start",
        "container_id": container,
        "actor": "me",
        "command": {},
        "created_at": now(),
        **states,
    }


async def test_only_so_many_rows_stay_rendered(databases: Databases) -> None:
    """The list of more containers than that is whole, again and again."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with database.begin() as connection:
        await connection.execute(insert(tables.clusters).values(**CLUSTER, created_at=now()))
        await connection.execute(insert(tables.containers), [_row(each, f"n{each}") for each in range(9)])
    pages = ContainerPages(database, most=3)

    listed = [(await pages.page(ListContainers()))[0] for _ in range(2)]
    await database.dispose()

    names = [[Container.model_validate_json(each).hostname for each in documents] for documents in listed]
    assert names == [[f"n{each}" for each in range(9)]] * 2
    assert len(pages._own) == 3


@pytest.mark.parametrize("lifecycle", list(Lifecycle))
@pytest.mark.parametrize("power", list(Power))
async def test_what_is_not_reachable_has_no_address_and_no_links(
    documents: tuple[Database, ContainerStore], lifecycle: Lifecycle, power: Power
) -> None:
    """Whatever is stored of it: only what runs, or is being created, has them; a deleted one has no power."""
    database, store = documents
    async with database.begin() as connection:
        await connection.execute(update(tables.containers).values(lifecycle=lifecycle, power=power))

    container = await store.get("c-1")

    is_deleted = lifecycle is Lifecycle.DELETED
    is_reachable = lifecycle is Lifecycle.CREATING or (power is Power.RUNNING and not is_deleted)
    assert container.power == (Power.UNKNOWN if is_deleted else power)
    assert container.address == ("10.0.0.9" if is_reachable else None)
    assert container.services[0].url == (SERVICE["url"] if is_reachable else None)
