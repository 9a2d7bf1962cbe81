"""An integrator that knows the contracts and NATS sees what a viewer of the page sees, and no more.

The client is what anyone writes: nats-py with its defaults, and the key that `endpoints.json` names.
"""

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.job_events import JobPhase
from support.stack import RunningStack, create, job_events
from support.waiting import until

StoredEvent = list[tuple[str, float]]

HOWTO = Path(__file__).parents[2] / "docs/howto/integrate.md"


async def connected(stack: RunningStack, **options: Any) -> Client:
    """Connect with the key that `endpoints.json` names."""
    return await nats.connect(
        stack.endpoints["nats"], nkeys_seed=stack.endpoints["nats_nkey_file"], **options
    )


def phases(messages: Iterable[Msg]) -> StoredEvent:
    """Read the phases among a job's events."""
    events = [JobPhase.model_validate_json(each.data) for each in messages if each.subject.endswith(".phase")]
    return [(each.phase, each.percent) for each in events]


async def test_phases_over_nats(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Live, pulled and pushed in order, the phases are those that SSE reports."""
    connection = await connected(stack)
    live: list[Msg] = []

    async def take(message: Msg) -> None:
        live.append(message)

    await connection.subscribe("slipway.live.slipway.v1.event.job.>", cb=take)
    await connection.flush()
    job = (await create(api, template="debian-base", hostname=f"nats-{secrets.token_hex(2)}"))["job"]["id"]
    events = await job_events(api, job)
    expected = [
        (event.content["phase"], event.content["percent"]) for event in events if event.kind == "phase"
    ]
    pulled = await pull(connection, job, len(expected))
    pushed = await follow_in_order(connection, job, len(expected))
    await until(lambda: len(phases(of_job(live, job))) >= len(expected))
    await connection.close()

    assert len(expected) == 10
    assert phases(of_job(live, job)) == expected
    assert pulled == expected
    assert pushed == expected


def of_job(messages: Iterable[Msg], job: str) -> list[Msg]:
    """Pick a job's live events."""
    return [each for each in messages if each.subject.split(".")[6] == job]


async def pull(connection: Client, job: str, count: int) -> StoredEvent:
    """Pull a job's events with a consumer of one's own."""
    waiting = await connection.jetstream().pull_subscribe(f"slipway.v1.event.job.{job}.>", stream="EVENTS")
    messages: list[Msg] = []
    while len(phases(messages)) < count:
        for message in await waiting.fetch(100, timeout=10):
            await message.ack()
            messages.append(message)
    await waiting.unsubscribe()
    return phases(messages)


async def follow_in_order(connection: Client, job: str, count: int) -> StoredEvent:
    """Have a job's events pushed, in order and without a gap."""
    coming = await connection.jetstream().subscribe(
        f"slipway.v1.event.job.{job}.>", stream="EVENTS", ordered_consumer=True
    )
    messages: list[Msg] = []
    while len(phases(messages)) < count:
        messages.append(await coming.next_msg(timeout=10))
    await coming.unsubscribe()
    return phases(messages)


async def test_integrator_may_not_give_orders(stack: RunningStack) -> None:
    """A command or a query of an integrator is refused by the bus itself, and so is the way to the origin."""
    refused: list[Exception] = []

    async def note(error: Exception) -> None:
        refused.append(error)

    connection = await connected(stack, error_cb=note)
    subjects = (
        "slipway.v1.command.provisioner.job.run",
        "slipway.v1.query.inventory.job.secrets",
        "slipway.origin.CONSUMER.CREATE.EVENTS.mine.slipway.v1.event.>",
    )
    for subject in subjects:
        await connection.publish(subject, b"{}")
    await connection.flush()
    await until(lambda: len(refused) == len(subjects))
    await connection.close()

    assert all("permissions violation" in str(error).lower() for error in refused)


async def test_the_mirror_is_an_integrators_whole_world(stack: RunningStack) -> None:
    """One stream is listed, and nothing in it is a run record."""
    assert Path(stack.endpoints["nats_nkey_file"]).name == "integrator.nk"
    connection = await connected(stack)
    bus = connection.jetstream()
    (stream,) = await bus.streams_info()
    stored = (await bus.stream_info("EVENTS", subjects_filter=">")).state.subjects or {}
    await connection.close()

    assert stream.config.name == "EVENTS"
    assert stored
    assert all(subject.startswith("slipway.v1.event.") for subject in stored)


pytestmark = pytest.mark.timeout(120)
