"""What could not be handled is listed, inspected, replayed or dropped over the API."""

from typing import Any

import httpx
import nats

from slipway.contracts.cluster_facts import NodeObserved
from slipway.contracts.jobs import RunJob
from support.stack import RunningStack
from support.waiting import until

RUBBISH = b'{"job": "no such thing"}'


async def test_rubbish_is_seen_and_dropped(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A command and an event that nobody can read do no harm; both are there to be looked at."""
    await _publish(stack, "inventory", RunJob.subject, RUBBISH)
    await _publish(stack, "monitor", NodeObserved.subject.replace("{id}", "nobody"), RUBBISH)
    both = await _listed(api, 2)
    command = next(each for each in both if each["subject"] == RunJob.subject)
    event = next(each for each in both if each["subject"] != RunJob.subject)

    whole = (await api.get(f"/api/v1/dead-letters/{command['id']}")).json()
    replayed = await api.post(f"/api/v1/dead-letters/{command['id']}/replay")
    back = next(each for each in await _listed(api, 2) if each["subject"] == RunJob.subject)
    refused = await api.post(f"/api/v1/dead-letters/{event['id']}/replay")
    dropped = [await api.delete(f"/api/v1/dead-letters/{each['id']}") for each in (back, event)]
    gone = await api.delete(f"/api/v1/dead-letters/{event['id']}")
    entries = (await api.get("/api/v1/audit")).json()["items"]

    assert (command["service"], event["service"]) == ("provisioner", "inventory")
    assert whole["body"] == RUBBISH.decode()
    assert whole["problem"]["errors"]
    assert replayed.status_code == 204
    # It was sent again, and could be read as little as before.
    assert back["id"] > command["id"]
    assert refused.status_code == 422
    assert [each.status_code for each in dropped] == [204, 204]
    assert (gone.status_code, gone.json()["code"]) == (404, "dead-letter.not-found")
    acts = [each["action"] for each in entries if each["action"].startswith("dead-letter.")]
    assert acts[:3] == ["dead-letter.drop", "dead-letter.drop", "dead-letter.replay"]
    assert await _listed(api, 0) == []


async def _publish(stack: RunningStack, service: str, subject: str, body: bytes) -> None:
    key = stack.data / "identities" / f"{service}.nk"
    client = await nats.connect(
        stack.endpoints["nats"], nkeys_seed=str(key), inbox_prefix=f"_INBOX_{service}"
    )
    await client.jetstream().publish(subject, body, headers={"Slipway-Actor": "test"})
    await client.close()


async def _listed(api: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
    async def items() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await api.get("/api/v1/dead-letters")).json()["items"]
        return listed

    async def are_so_many() -> bool:
        return len(await items()) == number

    await until(are_so_many)
    return await items()
