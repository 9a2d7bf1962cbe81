"""Stored messages: each is settled once, by the table, and none is lost or run twice."""

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from typing import Any

import pytest
from nats.aio.client import Client

from slipway.contracts.problems import Failed, Superseded, Unavailable
from slipway.runtime.bus import call as calls
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.client import Bus, Delivery
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Appeared, Phase, Run, Vanished
from support.nats import MakeBus
from support.waiting import until


async def pending(admin: Client, stream: str = "COMMANDS") -> int:
    return (await admin.jetstream().stream_info(stream)).state.messages


async def nothing_waits(admin: Client) -> bool:
    return await pending(admin) == 0


async def dead_letters(admin: Client) -> list[Any]:
    bus = admin.jetstream()
    last = (await bus.stream_info("DEAD_LETTERS")).state.last_seq
    return [await bus.get_msg("DEAD_LETTERS", seq=number) for number in range(1, last + 1)]


async def has_requests(admin: Client, count: int) -> bool:
    info = await admin.jetstream().consumer_info("COMMANDS", "provisioner-run")
    return bool(info.num_waiting == count)


class Worker:
    """Counts the messages it gets, and does what a test says."""

    def __init__(self, *outcomes: Exception | float) -> None:
        self.seen: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self._outcomes = list(outcomes)

    async def __call__(self, message: Run, delivery: Delivery) -> None:
        """Handle one command as the next outcome says."""
        self.seen[message.id] += 1
        self.deliveries.append(delivery)
        outcome = self._outcomes.pop(0) if self._outcomes else 0.0
        if isinstance(outcome, Exception):
            raise outcome
        await asyncio.sleep(outcome)

    def at(self, bus: Bus) -> None:
        """Register at a bus, with two slots."""
        bus.consume(Run, self, durable="provisioner-run", slots=2)


async def send(bus: Bus, *ids: str) -> None:
    for each in ids:
        await bus.publish(Run(id=each), message_id=f"run:{each}")


async def test_a_handled_command_is_gone(make_bus: MakeBus, admin: Client) -> None:
    """A handler that returns acknowledges; the call of the publisher reaches it."""
    worker = Worker()
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    with using(Call(actor="user:ann", correlation_id="c-7")):
        await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)

    delivery = worker.deliveries[0]
    assert (delivery.call.actor, delivery.call.correlation_id) == ("user:ann", "c-7")
    assert (delivery.message_id, delivery.attempts) == ("run:j1", 1)
    await until(lambda: nothing_waits(admin))


async def test_trap_01_an_error_does_not_delete_the_command(make_bus: MakeBus, admin: Client) -> None:
    """A bug leaves the command in the queue, to be tried again."""
    worker = Worker(RuntimeError("bug"), 0.0)
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)

    assert await pending(admin) == 1
    await until(lambda: worker.seen["j1"] == 2)


async def test_trap_02_a_retry_waits_longer_each_time(make_bus: MakeBus) -> None:
    """Unavailable gives the message back with a growing delay, not in a burst."""
    moments: list[float] = []

    async def busy(_message: Run, _delivery: Delivery) -> None:
        moments.append(time.monotonic())
        if len(moments) < 3:
            error = Unavailable("not now")
            error.retry_after_seconds = 0.1
            raise error

    inventory = await make_bus("inventory")
    await make_bus("provisioner", lambda bus: bus.consume(Run, busy, durable="provisioner-run"))

    await send(inventory, "j1")
    await until(lambda: len(moments) == 3)

    first, second = moments[1] - moments[0], moments[2] - moments[1]
    assert first > 0.5
    assert second > first


async def test_a_failure_is_put_aside_with_reason_and_origin(make_bus: MakeBus, admin: Client) -> None:
    """What only an operator can mend is stored aside, and leaves the queue."""
    worker = Worker(Failed("The script failed.", code="script.failed", exit_code=3))
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)
    await until(lambda: dead_letters(admin))

    (stored,) = await dead_letters(admin)
    assert stored.subject == "slipway.v1.dead-letter.provisioner.run"
    assert stored.headers["Slipway-Dead-Letter-Subject"] == Run.subject
    assert '"code":"script.failed"' in stored.headers["Slipway-Dead-Letter-Problem"]
    assert Run.model_validate_json(stored.data) == Run(id="j1")
    assert await pending(admin) == 0


async def test_a_body_that_is_no_message_is_dead_letter(make_bus: MakeBus, admin: Client) -> None:
    """Garbage does not block the queue and is not lost."""
    worker = Worker()
    await make_bus("provisioner", worker.at)

    await admin.jetstream().publish(Run.subject, b"{")
    await until(lambda: dead_letters(admin))

    (stored,) = await dead_letters(admin)
    assert stored.data == b"{"
    assert (await pending(admin), worker.seen) == (0, Counter())


@pytest.mark.slow
async def test_a_bug_is_put_aside_after_its_tries(make_bus: MakeBus, admin: Client) -> None:
    """A handler that breaks every time does not break for ever."""
    worker = Worker(*(RuntimeError("bug") for _ in range(5)))
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 5, within_seconds=40)
    await asyncio.sleep(0.3)

    (stored,) = await dead_letters(admin)
    assert '"code":"internal"' in stored.headers["Slipway-Dead-Letter-Problem"]
    assert "bug" not in stored.headers["Slipway-Dead-Letter-Problem"]


async def test_superseded_is_neither_acknowledged_nor_given_back(make_bus: MakeBus, admin: Client) -> None:
    """The delivery belongs to the newer owner: nothing is said, the heartbeat stops, time passes it on."""
    worker = Worker(Superseded("newer owner"), 0.0)
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)
    started = time.monotonic()

    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 2)

    assert 2.5 < time.monotonic() - started < 12
    assert await dead_letters(admin) == []


async def test_a_long_handler_keeps_its_message_by_heartbeats(make_bus: MakeBus) -> None:
    """Work that takes longer than the ack wait is not given to anybody else."""
    worker = Worker(4.5)
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)
    await make_bus("provisioner", worker.at)

    await send(inventory, "j1")
    await asyncio.sleep(5.2)

    assert worker.seen["j1"] == 1


async def test_trap_04_no_message_is_held_without_being_worked_on(make_bus: MakeBus) -> None:
    """Eight slow commands on two slots run once each, although each waits longer than the ack wait."""
    worker = Worker(*([1.2] * 8))
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    await send(inventory, *(f"j{number}" for number in range(8)))
    await until(lambda: sum(worker.seen.values()) >= 8, within_seconds=20)
    await asyncio.sleep(3.5)

    assert set(worker.seen.values()) == {1}


async def test_trap_05_a_slow_command_does_not_hold_up_a_quick_one(make_bus: MakeBus) -> None:
    """With a free slot, the next command starts at once."""
    worker = Worker(3.0)
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at)

    await send(inventory, "slow")
    await until(lambda: worker.seen["slow"] == 1)
    started = time.monotonic()
    await send(inventory, "quick", "quicker")
    await until(lambda: worker.seen["quicker"] == 1)

    assert time.monotonic() - started < 2.5


async def test_one_request_for_work_waits_for_all_slots(make_bus: MakeBus, admin: Client) -> None:
    """A worker that freezes is given one message, however many slots are free; two that come run together."""
    worker = Worker(3.0, 3.0)
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at, pull_timeout=30)
    await until(lambda: has_requests(admin, 1))

    started = time.monotonic()
    await send(inventory, "j1", "j2")
    await until(lambda: len(worker.seen) == 2)

    assert time.monotonic() - started < 2.9
    assert not await has_requests(admin, 2)


async def test_work_is_asked_for_again_when_the_bus_was_restarted(
    make_bus: MakeBus, admin: Client, nats_server: EmbeddedNats
) -> None:
    """The server has forgotten the request that waited, and the worker does not wait for its end."""
    worker = Worker()
    inventory = await make_bus("inventory")
    await make_bus("provisioner", worker.at, pull_timeout=60)
    await send(inventory, "j0")
    await until(lambda: worker.seen["j0"] == 1)
    await until(lambda: has_requests(admin, 1))

    nats_server.server.kill()
    nats_server.start()
    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1, within_seconds=10)

    assert worker.seen == {"j0": 1, "j1": 1}


async def test_trap_10_what_can_not_be_finished_is_handed_over_at_once(make_bus: MakeBus) -> None:
    """A worker that stops gives its command back; another one has it without waiting for the ack wait."""
    first, second = Worker(60.0), Worker()
    inventory = await make_bus("inventory")
    stopping = await make_bus("provisioner", first.at, graceful_timeout=0.2)
    await send(inventory, "j1")
    await until(lambda: first.seen["j1"] == 1)
    await make_bus("provisioner", second.at)

    await stopping.drain()
    drained = time.monotonic()
    await until(lambda: second.seen["j1"] == 1)

    assert time.monotonic() - drained < 2


async def test_a_handed_over_command_is_no_error(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever stops a worker in the middle of its work has no traceback to read."""
    worker = Worker(60.0)
    inventory = await make_bus("inventory")
    stopping = await make_bus("provisioner", worker.at, graceful_timeout=0.2)
    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)

    await stopping.drain()

    assert [each.getMessage() for each in caplog.records if each.levelno > logging.INFO] == []


async def test_a_frozen_bus_holds_no_worker(
    make_bus: MakeBus, nats_server: EmbeddedNats, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be handed over waits for the bus; the worker leaves in its time, and reports no error."""
    worker = Worker(60.0)
    inventory = await make_bus("inventory")
    stopping = await make_bus("provisioner", worker.at, graceful_timeout=0.2)
    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)
    os.kill(nats_server.server.pid, signal.SIGSTOP)

    try:
        await asyncio.wait_for(stopping.drain(), 5)
    finally:
        os.kill(nats_server.server.pid, signal.SIGCONT)

    assert [each.exc_info for each in caplog.records if each.exc_info] == []


async def test_a_cancelled_handler_may_still_speak(make_bus: MakeBus, admin: Client) -> None:
    """On the way down a handler can leave its record in order before its message is handed over."""

    async def careful(message: Run, _delivery: Delivery) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await provisioner.publish(Phase(id=message.id, text="handed over"), message_id="p1")
            raise

    inventory = await make_bus("inventory")
    provisioner = await make_bus(
        "provisioner",
        lambda bus: bus.consume(Run, careful, durable="provisioner-run"),
        graceful_timeout=0.2,
    )
    await send(inventory, "j1")
    await asyncio.sleep(0.3)

    await provisioner.drain()

    assert await pending(admin, "EVENTS") == 1


async def test_a_drain_lets_short_work_finish(make_bus: MakeBus, admin: Client) -> None:
    """Work that ends within the graceful timeout is finished and acknowledged."""
    worker = Worker(0.8)
    inventory = await make_bus("inventory")
    provisioner = await make_bus("provisioner", worker.at)
    await send(inventory, "j1")
    await until(lambda: worker.seen["j1"] == 1)

    await provisioner.drain()

    assert await pending(admin) == 0


async def test_several_kinds_share_a_consumer_and_unknown_ones_pass(make_bus: MakeBus, admin: Client) -> None:
    """Each kind goes to its handler; a kind that only newer versions know is acknowledged."""
    heard: list[str] = []

    async def appeared(message: Appeared, _delivery: Delivery) -> None:
        heard.append(f"appeared {message.id}")

    async def vanished(message: Vanished, _delivery: Delivery) -> None:
        heard.append(f"vanished {message.id}")

    def register(bus: Bus) -> None:
        bus.consume(Appeared, appeared, durable="inventory-guests")
        bus.consume(Vanished, vanished, durable="inventory-guests")

    await make_bus("inventory", register)
    monitor = await make_bus("monitor")

    await monitor.publish(Appeared(id="g1"), message_id="m1")
    await admin.jetstream().publish("slipway.v1.event.guest.g1.renamed", b"{}")
    await monitor.publish(Vanished(id="g1"), message_id="m2")
    await until(lambda: len(heard) == 2)
    await asyncio.sleep(0.1)

    assert heard == ["appeared g1", "vanished g1"]
    consumer = await admin.jetstream().consumer_info("EVENTS", "inventory-guests")
    assert (consumer.num_ack_pending, consumer.num_pending) == (0, 0)


async def test_the_call_is_current_below_a_handler(make_bus: MakeBus) -> None:
    """What a handler says in turn is said on behalf of the same actor, under the same correlation id."""
    seen: list[Call] = []

    async def note(_message: Run, _delivery: Delivery) -> None:
        seen.append(calls.current())

    inventory = await make_bus("inventory")
    await make_bus("provisioner", lambda bus: bus.consume(Run, note, durable="provisioner-run"))

    with using(Call(actor="user:ann", correlation_id="c-9")):
        await send(inventory, "j1")
    await until(lambda: bool(seen))

    assert (seen[0].actor, seen[0].correlation_id, seen[0].deadline) == ("user:ann", "c-9", None)


async def test_a_consumer_of_another_service_is_refused(make_bus: MakeBus) -> None:
    """Nobody takes another service's messages by mistake."""
    with pytest.raises(ValueError, match="not a consumer of monitor"):
        await make_bus("monitor", Worker().at)


async def test_a_stored_message_has_no_deadline(make_bus: MakeBus, admin: Client) -> None:
    """A header that only a query may have, readable or not, keeps no message from being handled."""
    seen: list[Call] = []

    async def note(_message: Run, delivery: Delivery) -> None:
        seen.append(delivery.call)

    await make_bus("provisioner", lambda bus: bus.consume(Run, note, durable="provisioner-run"))
    for deadline in ("tomorrow", "2020-01-01T00:00:00+00:00"):
        await admin.jetstream().publish(
            Run(id="j1").subject_of(), b'{"id": "j1"}', headers={"Slipway-Deadline": deadline}
        )

    await until(lambda: len(seen) == 2)
    assert {call.deadline for call in seen} == {None}
