"""Two provisioners, and a bus that dies between them."""

import asyncio

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob
from slipway.contracts.message import Command
from slipway.contracts.values import JobState
from slipway.runtime.errors import BusUnavailable
from slipway.standalone.embedded.nats import EmbeddedNats
from support.nats import MakeBus
from support.provisioner_side import Ground, replica
from support.waiting import processes_of, until


async def say(ground: Ground, command: Command) -> None:
    """Put a command into its queue as soon as the bus takes it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await ground.bus.publish(command, message_id=f"{command.subject}:j1")
            except BusUnavailable:
                continue
            return


@pytest.mark.timeout(120)
async def test_a_cancel_just_after_the_bus_came_back(
    ground: Ground, make_bus: MakeBus, nats_server: EmbeddedNats
) -> None:
    """Whoever owns the job then ends it, with all that it had begun; it was begun once."""
    bundle = await ground.bundle(a="echo begun; sleep 98764")
    command = await ground.command(JobKind.CREATE, bundle=bundle)
    async with replica(ground, make_bus), replica(ground, make_bus):
        await say(ground, command)
        await until(lambda: bool(processes_of("sleep", "98764")), within_seconds=40)
        nats_server.server.kill()
        nats_server.start()

        await say(ground, CancelJob(job="j1", kind=command.kind, target=command.target))
        record = await ground.until_record("j1", lambda each: each.state.is_terminal, seconds=60)

    assert record.state is JobState.CANCELLED
    assert not processes_of("sleep", "98764")
    assert (await ground.lines()).count("begun") == 1
