"""What an operator sees of the bus: lag, and no line per message."""

import asyncio

import pytest

from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.process import logs, metrics
from slipway.runtime.process.settings import LogSettings
from support.messages import Run
from support.nats import MakeBus
from support.waiting import until


async def test_trap_17_a_handled_message_writes_no_line(
    make_bus: MakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the ordinary level, ordinary work is counted, not written."""
    logs.configure("provisioner", LogSettings(log_level="info"))
    seen: list[str] = []

    async def note(message: Run, _delivery: Delivery) -> None:
        seen.append(message.id)

    inventory = await make_bus("inventory")
    await make_bus("provisioner", lambda bus: bus.consume(Run, note, durable="provisioner-run"))
    capsys.readouterr()

    for number in range(20):
        await inventory.publish(Run(id=f"j{number}"), message_id=f"m{number}")
    await until(lambda: len(seen) == 20)

    assert capsys.readouterr().err == ""


async def test_trap_19_a_consumer_that_does_not_move_shows_as_lag(make_bus: MakeBus) -> None:
    """A crashed pull loop restarts in silence; what waits and what comes again is measured."""
    stuck = asyncio.Event()

    async def wait(_message: Run, _delivery: Delivery) -> None:
        await stuck.wait()

    def register(bus: Bus) -> None:
        bus.consume(Run, wait, durable="provisioner-run")

    inventory = await make_bus("inventory")
    provisioner = await make_bus("provisioner", register)
    for number in range(5):
        await inventory.publish(Run(id=f"j{number}"), message_id=f"m{number}")
    await asyncio.sleep(0.2)

    await provisioner.measure()

    assert 'slipway_consumer_pending{consumer="provisioner-run"} 4.0' in metrics.render().decode()
    stuck.set()
