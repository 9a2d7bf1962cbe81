"""A service knows whether its part of the bus is there, and how full it is."""

import asyncio
import json

import pytest
from nats.aio.client import Client

from slipway.runtime.bus import stream_watch
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.errors import BusFull, DiskFull, TopologyMissing
from slipway.runtime.process import logs, metrics
from slipway.runtime.process.main import check
from slipway.runtime.process.service import Service
from slipway.runtime.process.settings import LogSettings
from slipway.runtime.retry import Deadline
from slipway.runtime.topology import reconcile
from slipway.runtime.topology.declared import EVENTS
from slipway.standalone.embedded.nats import EmbeddedNats
from support.folders import fill_up, small_disk
from support.messages import Log, Run
from support.nats import SMALL, MakeBus, settings_of
from support.waiting import until


class Worker:
    """Takes what comes."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def register(self, bus: Bus) -> None:
        """Consume runs."""
        bus.consume(Run, self._note, durable="provisioner-run")

    async def _note(self, message: Run, _delivery: Delivery) -> None:
        self.seen.append(message.id)


async def shrink_events(admin: Client, max_bytes: int) -> None:
    config = (await admin.jetstream().stream_info(EVENTS)).config
    await admin.jetstream().update_stream(config.evolve(max_bytes=max_bytes))


async def test_a_bus_that_is_almost_full_takes_no_new_work(
    make_bus: MakeBus, admin: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 70 % the log warns once, at 85 % new work is refused; with room again it is taken."""
    logs.configure("inventory", LogSettings())
    inventory, provisioner = await make_bus("inventory"), await make_bus("provisioner")
    await provisioner.publish(Log(id="j1", text="x" * 80_000), message_id="m1")
    capsys.readouterr()

    await shrink_events(admin, 110_000)
    await inventory.measure()
    await inventory.measure()
    inventory.refuse_new_work()
    await shrink_events(admin, 90_000)
    await inventory.measure()
    with pytest.raises(BusFull) as refused:
        inventory.refuse_new_work()
    await shrink_events(admin, 1_000_000)
    await inventory.measure()

    inventory.refuse_new_work()
    assert refused.value.to_problem().retry_after_seconds == 30
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["stream almost full", "stream has room again"]
    assert 'slipway_stream_max_bytes{stream="EVENTS"} 1e+06' in metrics.render().decode()


async def test_log_lines_give_way_before_new_work_is_refused(make_bus: MakeBus, admin: Client) -> None:
    """From 75 % on; a service counts what it stores itself between two looks, and a refusal is one."""
    await shrink_events(admin, 1_000_000)
    provisioner = await make_bus("provisioner")
    assert (provisioner.has_room_for_logs, provisioner.shortages()) == (True, {})

    await provisioner.publish(Log(id="j1", text="x" * 760_000), message_id="m1")
    states = [provisioner.has_room_for_logs]
    await provisioner.measure()
    states.append(provisioner.has_room_for_logs)
    provisioner.refuse_new_work()
    with pytest.raises(BusFull, match="maximum bytes"):
        await provisioner.publish(Log(id="j1", text="x" * 760_000), message_id="m2")

    assert states == [False, False]
    assert list(provisioner.shortages()) == [BusFull.code]


@pytest.mark.root
async def test_a_disk_that_is_almost_full_takes_no_new_work(guarded: EmbeddedNats) -> None:
    """Log lines give way with 192 MiB left, new work with 128; a folder that is gone refuses nothing."""
    with small_disk("disk", 300) as disk:
        bus = Bus(settings_of(guarded.url, disk=disk), service="inventory")
        states = [(bus.has_room_for_logs, bus.shortages())]
        bus.refuse_new_work()
        fill_up(disk / "filler", leave_mib=150)
        states.append((bus.has_room_for_logs, bus.shortages()))
        bus.refuse_new_work()
        fill_up(disk / "filler", leave_mib=100)
        states.append((bus.has_room_for_logs, bus.shortages()))
        with pytest.raises(DiskFull, match=r"has 100 MiB left: no new job .* Stopping, deleting"):
            bus.refuse_new_work()

    assert states == [
        (True, {}),
        (
            False,
            {"disk.full": "The disk of the bus and the database has 150 MiB left: log lines are left out."},
        ),
        (
            False,
            {
                "disk.full": "The disk of the bus and the database has 100 MiB left: no new job is accepted "
                "until it has 128. Remove what you do not need from it, or enlarge it."
            },
        ),
    ]
    bus.refuse_new_work()
    assert bus.shortages() == {}


async def test_nothing_is_refused_while_the_fill_is_unknown(make_bus: MakeBus) -> None:
    """What was accepted is safe without the bus; so a bus that is away refuses nothing."""
    inventory = await make_bus("inventory")

    inventory.refuse_new_work()

    assert inventory.shortages() == {}


async def test_a_consumer_that_is_gone_shows_and_is_not_asked_without_end(
    make_bus: MakeBus, admin: Client
) -> None:
    """The service is not ready, its slots pause; when the consumer is back they go on."""
    worker = Worker()
    inventory = await make_bus("inventory")
    provisioner = await make_bus("provisioner", worker.register)
    await admin.jetstream().delete_consumer("COMMANDS", "provisioner-run")
    provisioner._watch._measured = Deadline(-1.0)
    await asyncio.sleep(0.6)  # what was asked before the deletion ends

    before = provisioner.connection.stats["out_msgs"]
    await asyncio.sleep(1)
    asked = provisioner.connection.stats["out_msgs"] - before
    with pytest.raises(TopologyMissing, match="provisioner-run"):
        await provisioner.ping()
    await reconcile.apply(admin, SMALL)
    await inventory.publish(Run(id="j1"), message_id="m1")

    await until(lambda: worker.seen == ["j1"])
    await provisioner.ping()
    assert asked < 5


async def test_a_bucket_that_is_gone_shows_within_seconds(
    make_bus: MakeBus, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness looks at what is read too, and a good answer does not count for long."""
    monkeypatch.setattr(stream_watch, "CALM_SECONDS", 0.2)
    provisioner = await make_bus("provisioner")
    await provisioner.ping()

    await admin.jetstream().delete_stream("OBJ_bundles")
    await asyncio.sleep(0.3)

    with pytest.raises(TopologyMissing, match="OBJ_bundles"):
        await provisioner.ping()


async def test_a_heartbeat_too_slow_for_the_bus_is_reported_once(
    make_bus: MakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The consumers have their timeout from `topology apply`, which may have been set to another."""
    logs.configure("provisioner", LogSettings())
    provisioner = await make_bus("provisioner", Worker().register, heartbeat=2)

    await provisioner.measure()
    await provisioner.measure()

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (error,) = [line for line in lines if line["level"] == "error"]
    assert (error["consumer"], error["ack_wait"], error["heartbeat"]) == ("provisioner-run", 3.0, 2.0)


async def test_a_check_takes_no_work(make_bus: MakeBus, admin: Client) -> None:
    """A command that waits is not delivered to a process that ends at once."""
    worker = Worker()
    inventory = await make_bus("inventory")
    await inventory.publish(Run(id="j1"), message_id="m1")
    settings = settings_of(str(admin.connected_url.geturl() if admin.connected_url else ""))
    bus = Bus(settings, service="provisioner")
    worker.register(bus)

    status = await check(Service("provisioner", settings, bus))

    consumer = await admin.jetstream().consumer_info("COMMANDS", "provisioner-run")
    assert (status, worker.seen) == (0, [])
    assert (consumer.num_pending, consumer.num_ack_pending, consumer.delivered.consumer_seq) == (1, 0, 0)
