"""Buckets, bundles and pages on a real bus."""

import hashlib
import os
from datetime import timedelta

import pytest
from nats.aio.client import Client

from slipway.runtime.bus.bundles import BundleNotFound, Bundles
from slipway.runtime.bus.client import WriteRefused
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.bus.stored import read_all, read_next, read_page
from slipway.runtime.process import clock
from support.messages import Phase
from support.nats import MakeBus


async def test_a_value_can_be_put_read_and_forgotten(make_bus: MakeBus) -> None:
    """The last value counts, with its revision and age."""
    live = Bucket(await make_bus("monitor"), "live")

    first = await live.put("pve1.104", b"a")
    second = await live.put("pve1.104", b"b")

    entry = await live.get("pve1.104")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"b", second)
    assert second > first
    assert timedelta(0) <= clock.now() - entry.at < timedelta(seconds=5)
    await live.delete("pve1.104")
    assert await live.get("pve1.104") is None


async def test_entries_are_all_or_those_under_a_token(make_bus: MakeBus) -> None:
    """Many more values than fit one page are read, deleted ones left out."""
    live = Bucket(await make_bus("monitor"), "live")
    for number in range(300):
        await live.put(f"pve{number % 2}.{number}", str(number).encode())
    await live.delete("pve0.0")

    every, some = await live.entries(), await live.entries("pve0.*")

    assert (len(every), len(some)) == (299, 149)
    assert every["pve1.299"].value == b"299"


async def test_a_value_can_be_compared_and_set(make_bus: MakeBus) -> None:
    """A revision that is no longer the present one is refused."""
    live = Bucket(await make_bus("monitor"), "live")
    revision = await live.put("k", b"a", expected_revision=0)
    await live.put("k", b"b", expected_revision=revision)

    with pytest.raises(WriteRefused):
        await live.put("k", b"c", expected_revision=revision)


async def test_a_bundle_is_named_by_its_content_and_comes_back_whole(make_bus: MakeBus) -> None:
    """An archive of many pieces is read as it was stored, and storing it twice is harmless."""
    bus = await make_bus("catalog")
    archive = os.urandom(9_000_000)

    name = await Bundles(bus).put(archive)
    again = await Bundles(bus).put(archive)

    assert name == again == hashlib.sha256(archive).hexdigest()
    assert await Bundles(bus).get(name) == archive


async def test_a_bundle_that_is_not_there_is_reported(make_bus: MakeBus) -> None:
    """An unknown hash is the caller's error."""
    with pytest.raises(BundleNotFound):
        await Bundles(await make_bus("provisioner")).get("0" * 64)


async def test_an_empty_archive_is_an_archive(make_bus: MakeBus) -> None:
    """Nothing is also something."""
    bus = await make_bus("catalog")

    assert await Bundles(bus).get(await Bundles(bus).put(b"")) == b""


async def test_stored_messages_are_read_in_pages(make_bus: MakeBus, admin: Client) -> None:
    """A page says how much is left; all pages together are everything, in order."""
    provisioner = await make_bus("provisioner")
    for number in range(10):
        await provisioner.publish(Phase(id=f"j{number % 2}"), message_id=str(number))

    page = await read_page(admin, "EVENTS", subject="slipway.v1.event.job.j0.>", most=2)
    every = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j0.>")
    nothing = await read_page(admin, "EVENTS", subject="slipway.v1.event.job.j9.>")

    assert ([message.sequence for message in page.messages], page.remaining) == ([1, 3], 3)
    assert [message.sequence for message in every] == [1, 3, 5, 7, 9]
    assert (nothing.messages, nothing.remaining) == ((), 0)


async def test_the_leader_reports_what_comes_next(make_bus: MakeBus, admin: Client) -> None:
    """The next message of a subject as a page would hold it; nothing after the last."""
    provisioner = await make_bus("provisioner")
    for number in range(3):
        await provisioner.publish(Phase(id=f"j{number % 2}"), message_id=str(number))

    subject = "slipway.v1.event.job.j0.>"
    message = await read_next(admin, "EVENTS", subject=subject, from_sequence=2)
    page = await read_page(admin, "EVENTS", subject=subject, from_sequence=2)

    assert message == page.messages[0]
    assert await read_next(admin, "EVENTS", subject=subject, from_sequence=4) is None
