"""An integrator that knows the contracts and NATS sees what a viewer of the page sees, and no more."""

import secrets
from pathlib import Path

import httpx
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.jobs import JobPhase
from support.stack import RunningStack, create, story
from support.waiting import until


async def connected(stack: RunningStack) -> Client:
    """Connect with the key that `endpoints.json` names."""
    seed = Path(stack.endpoints["nats_nkey_file"]).read_text().strip()
    return await nats.connect(stack.endpoints["nats"], nkeys_seed_str=seed, inbox_prefix=b"_INBOX_integrator")


async def test_phases_over_nats(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Live and from the stream, the phases are those that SSE tells."""
    connection = await connected(stack)
    live: list[Msg] = []

    async def take(message: Msg) -> None:
        live.append(message)

    await connection.subscribe("slipway.live.slipway.v1.event.job.*.phase", cb=take)
    await connection.flush()
    job = (await create(api, template="debian-base", hostname=f"nats-{secrets.token_hex(2)}"))["job"]["id"]
    events = await story(api, job)
    stored = await pulled(connection, JobPhase.subject.replace("{id}", job))
    await connection.close()

    told = [(event.content["phase"], event.content["percent"]) for event in events if event.kind == "phase"]
    mine = [JobPhase.model_validate_json(each.data) for each in live if each.subject.split(".")[6] == job]
    assert len(told) == 10
    assert [(each.phase, each.percent) for each in mine] == told
    assert [(each.phase, each.percent) for each in stored] == told


async def test_integrator_may_not_give_orders(stack: RunningStack) -> None:
    """A command or a query of an integrator is refused by the bus itself."""
    refused: list[Exception] = []

    async def note(error: Exception) -> None:
        refused.append(error)

    seed = Path(stack.endpoints["nats_nkey_file"]).read_text().strip()
    connection = await nats.connect(
        stack.endpoints["nats"], nkeys_seed_str=seed, inbox_prefix=b"_INBOX_integrator", error_cb=note
    )
    for subject in ("slipway.v1.command.provisioner.job.run", "slipway.v1.query.inventory.job.secrets"):
        await connection.publish(subject, b"{}")
    await connection.flush()
    await until(lambda: len(refused) == 2)
    await connection.close()

    assert all("permissions violation" in str(error).lower() for error in refused)


async def pulled(connection: Client, subject: str) -> list[JobPhase]:
    """Pull a job's phases from the durable consumer that is declared for integrators."""
    jetstream = connection.jetstream()
    waiting = await jetstream.pull_subscribe_bind(consumer="integrator-events", stream="EVENTS")
    found: list[JobPhase] = []
    while len(found) < 10:
        for message in await waiting.fetch(100, timeout=5):
            await message.ack()
            if message.subject == subject:
                found.append(JobPhase.model_validate_json(message.data))
    return found


pytestmark = pytest.mark.timeout(120)
