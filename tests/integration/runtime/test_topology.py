"""The topology: declared once, reconciled, never destroyed by a service."""

import asyncio
import contextlib

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.bus.dead_letters import dead_letter_page
from slipway.runtime.errors import BusUnavailable, TopologyMissing
from slipway.runtime.topology import declared, reconcile
from slipway.runtime.topology.reconcile import TopologyConflict
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Phase, Record, Run
from support.nats import SMALL, MakeBus, settings_of
from support.waiting import until


async def test_everything_declared_is_created_and_a_second_run_changes_nothing(
    empty_nats: EmbeddedNats, admin: Client
) -> None:
    """Applying is idempotent: what the server made of the declaration counts as equal to it."""
    first = await reconcile.apply(admin, SMALL)

    second = await reconcile.apply(admin, SMALL)

    names = {change.name for change in first}
    assert {
        "COMMANDS",
        "EVENTS",
        "DEAD_LETTERS",
        "ADVISORIES",
        "KV_live",
        "KV_looks",
        "KV_locks",
        "OBJ_bundles",
    } <= names
    assert {each.durable for each in declared.CONSUMERS} <= names
    assert second == []


async def test_a_record_replaced_while_it_is_handled_is_not_reported(
    make_bus: MakeBus, admin: Client
) -> None:
    """It happens several times a job; the reports of what a service gave up are stored as before."""
    provisioner = await make_bus("provisioner")
    reports: list[str] = []

    async def note(message: Msg) -> None:
        reports.append(message.subject)

    await admin.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", cb=note)
    handled: list[int] = []

    async def replace(record: Record, delivery: Delivery) -> None:
        if record.step < 3:
            following = Record(id=record.id, step=record.step + 1, commit=f"c{record.step}")
            sequence = delivery.stream_sequence
            await provisioner.commit(following, (), expected_sequence=sequence, commit_id=following.commit)
        handled.append(record.step)

    await make_bus("inventory", lambda bus: bus.consume(Record, replace, durable="inventory-records"))
    await provisioner.commit(Record(id="j1"), (), expected_sequence=0, commit_id="first")
    await until(lambda: handled == [0, 1, 2, 3] and len(reports) == 3)

    assert (await admin.jetstream().stream_info("ADVISORIES")).state.messages == 0
    await admin.publish("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.EVENTS.inventory-guests", b"{}")
    await admin.flush()
    assert (await admin.jetstream().stream_info("ADVISORIES")).state.messages == 1


async def test_a_bus_that_an_earlier_version_declared_stores_the_reports_of_records_no_more(
    empty_nats: EmbeddedNats, admin: Client
) -> None:
    """Its stream gives up a subject that nobody needs; what is stored stays for its time."""
    prefix = "$JS.EVENT.ADVISORY.CONSUMER"
    old = [f"{prefix}.MAX_DELIVERIES.>", f"{prefix}.MSG_TERMINATED.>"]
    await admin.jetstream().add_stream(name="ADVISORIES", subjects=old)
    await admin.jetstream().publish(f"{prefix}.MSG_TERMINATED.EVENTS.inventory-records", b"{}")

    await reconcile.apply(admin, SMALL)

    info = await admin.jetstream().stream_info("ADVISORIES")
    assert f"{prefix}.MSG_TERMINATED.>" not in (info.config.subjects or ())
    assert info.state.messages == 1


async def test_trap_15_drift_of_a_consumer_is_mended(nats_server: EmbeddedNats, admin: Client) -> None:
    """A consumer that exists with other settings gets the declared ones."""
    bus = admin.jetstream()
    changed = (await bus.consumer_info("COMMANDS", "provisioner-run")).config.evolve(ack_wait=99.0)
    await bus.add_consumer("COMMANDS", changed)

    changes = await reconcile.apply(admin, SMALL)

    assert [(change.name, change.done) for change in changes] == [("provisioner-run", "updated ack_wait")]
    assert (await bus.consumer_info("COMMANDS", "provisioner-run")).config.ack_wait == 3


async def test_limits_can_be_changed(nats_server: EmbeddedNats, admin: Client) -> None:
    """A stream may grow."""
    larger = SMALL.model_copy(update={"events_max_bytes": SMALL.events_max_bytes * 2})

    changes = await reconcile.apply(admin, larger)

    assert [(change.name, change.done) for change in changes] == [("EVENTS", "updated max_bytes")]


async def test_what_would_destroy_is_refused(empty_nats: EmbeddedNats, admin: Client) -> None:
    """A stream of another kind under our name is left alone, and said so."""
    await admin.jetstream().add_stream(name="COMMANDS", subjects=["slipway.v1.command.>", "other"])

    with pytest.raises(TopologyConflict, match=r"retention can't change.*subject other"):
        await reconcile.apply(admin, SMALL)


async def test_shrinking_below_what_is_stored_is_refused(make_bus: MakeBus, admin: Client) -> None:
    """Nothing stored is pushed out by a setting."""
    inventory = await make_bus("inventory")
    await inventory.publish(Run(id="j1"), message_id="m1")
    smaller = SMALL.model_copy(update={"commands_max_bytes": 10})

    with pytest.raises(TopologyConflict, match="max_bytes"):
        await reconcile.apply(admin, smaller)


async def test_a_service_waits_for_its_consumers(empty_nats: EmbeddedNats, admin: Client) -> None:
    """A service that starts before the topology declares nothing; it waits and says what is missing."""
    bus = Bus(settings_of(empty_nats.url), service="provisioner")
    starting = asyncio.create_task(bus.start())
    await asyncio.sleep(0.4)

    with pytest.raises(BusUnavailable):
        await bus.ping()
    with pytest.raises(TopologyMissing, match="provisioner-run"):
        await reconcile.verify(admin, "provisioner")
    assert await admin.jetstream().streams_info() == []
    await reconcile.apply(admin, SMALL)
    await asyncio.wait_for(starting, 5)

    await bus.ping()
    await bus.drain()


async def test_a_service_waits_for_the_bus_itself(nats_server: EmbeddedNats) -> None:
    """A bus that is not there yet is no reason to fail."""
    nats_server.stop()
    bus = Bus(settings_of(nats_server.url), service="inventory")
    starting = asyncio.create_task(bus.start())
    early, _ = await asyncio.wait([starting], timeout=0.5)

    nats_server.start()
    await asyncio.wait_for(starting, 10)

    assert not early
    await bus.ping()
    await bus.drain()


async def test_trap_13_a_client_never_gives_up(make_bus: MakeBus, nats_server: EmbeddedNats) -> None:
    """However long the bus is away, the connection comes back; dead peers are noticed within seconds."""
    bus = await make_bus("inventory")
    options = bus.connection.options

    assert options["max_reconnect_attempts"] == -1
    assert options["ping_interval"] * options["max_outstanding_pings"] <= 30
    nats_server.server.kill()
    with pytest.raises(BusUnavailable):
        await bus.ping()
    nats_server.start()

    async def is_back() -> bool:
        with contextlib.suppress(BusUnavailable):
            await bus.ping()
            return True
        return False

    await until(is_back)


async def test_every_stored_subject_is_republished_in_one_order(make_bus: MakeBus, admin: Client) -> None:
    """A listener on the republished subjects sees each sequence of EVENTS, without a gap."""
    provisioner = await make_bus("provisioner")
    heard: list[int] = []

    async def note(message: Msg) -> None:
        heard.append(int((message.headers or {})["Nats-Sequence"]))

    await admin.subscribe("slipway.live.>", cb=note)
    await admin.flush()

    last = 0
    for number in range(5):
        last = await provisioner.commit(
            Record(id="j1", step=number), [Phase(id="j1")], expected_sequence=last, commit_id=f"c{number}"
        )
    await until(lambda: len(heard) >= 10)

    assert heard == list(range(1, 11))


async def test_dead_letters_of_an_older_build_are_carried_over(
    nats_server: EmbeddedNats, admin: Client, make_bus: MakeBus
) -> None:
    """Under their former name, with their origin; once, and the former stream is gone."""
    bus = admin.jetstream()
    await bus.add_stream(StreamConfig(name="PARKED", subjects=["slipway.v1.parked.>"], allow_direct=True))
    for number in range(3):
        headers = {
            "Nats-Msg-Id": f"inventory-records:EVENTS:{number}",
            "Slipway-Parked-Subject": "slipway.v1.state.job.j-1",
            "Slipway-Parked-Stream": "EVENTS",
            "Slipway-Parked-Sequence": str(number),
            "Slipway-Parked-Message-Id": f"m-{number}",
            "Slipway-Parked-Attempts": "1",
            "Slipway-Parked-Problem": '{"kind": "failed", "code": "x", "message": "why"}',
        }
        await bus.publish("slipway.v1.parked.inventory.records", b"{}", headers=headers)

    changes = await reconcile.apply(admin, SMALL)
    again = await reconcile.apply(admin, SMALL)

    assert [change.done for change in changes] == ["3 messages carried over from its former name"]
    assert again == []
    inventory = await make_bus("inventory")
    letters, _ = await dead_letter_page(inventory.connection, after=0, most=10)
    assert [(each.consumer, each.message_id, each.sequence) for each in letters] == [
        ("inventory-records", f"m-{number}", number) for number in range(3)
    ]
