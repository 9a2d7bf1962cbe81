"""Many containers at once: created like one, started as one job log, deleted by the plan that was shown."""

import asyncio
import secrets
from collections import Counter
from typing import Any

import httpx
import pytest

from slipway.client.sse import ServerEvent
from support.lab import most_tasks
from support.stack import RunningStack, job_events

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SIZE = 12
NODE_JOBS = 8
"""What the settings allow one node at a time; one provisioner has as many slots."""


async def test_a_fleet_from_its_creation_to_its_deletion(api: httpx.AsyncClient, stack: RunningStack) -> None:
    """Each part is one batch with one stream; the node is never asked for more than it may do at a time."""
    name = f"bulk{secrets.token_hex(2)}"
    await batch(api, "containers", hostname=name, template="debian-base", count=SIZE, tags=[name])
    await batch(api, "jobs", kind="container.stop", selection=f"tag:{name} {name}")
    ended = asyncio.Event()
    looking = asyncio.create_task(most_tasks(stack.endpoints["lab"], "vzstart", ended))

    events = await batch(api, "jobs", kind="container.start", selection=f"name:{name}-*")

    ended.set()
    assert 1 <= await looking <= NODE_JOBS
    assert 1 < most_at_once(events) <= NODE_JOBS
    kinds = [event.kind for event in events]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("accepted", "done", {"item"})
    done = Counter(
        event.content["index"] for event in events[:-1] if event.content.get("state") == "succeeded"
    )
    assert done == Counter(range(SIZE))
    job = events[-1].content["id"]
    again = await job_events(api, job, after=events[SIZE].id)
    assert [event.id for event in again] == [event.id for event in events[SIZE + 1 :]]
    page = (
        await api.get("/api/v1/containers", params={"q": f"tag:{name} -name:{name}-1 status:ready"})
    ).json()
    assert {each["hostname"] for each in page["items"]} == {f"{name}-{n}" for n in range(2, SIZE + 1)}
    await deleted(api, name)


async def deleted(api: httpx.AsyncClient, name: str) -> None:
    """Delete all of a name: refused without a plan and with an old one, done with the newest."""
    body = {"kind": "container.delete", "selection": f"name:{name}-*"}
    plan = (await api.post("/api/v1/jobs", params={"plan": "true"}, json=body)).json()
    assert len(plan["items"]) == len(plan["destroys"]) == SIZE
    unshown = await api.post("/api/v1/jobs", json=body)
    assert (unshown.status_code, unshown.json()["code"]) == (httpx.codes.CONFLICT, "plan.needed")
    await batch(api, "containers", hostname=name, template="debian-base", count=1)
    old = await api.post("/api/v1/jobs", json={**body, "plan": plan["hash"]})
    assert (old.status_code, old.json()["code"]) == (httpx.codes.CONFLICT, "plan.changed")
    assert f"new: {name}-{SIZE + 1} (" in old.json()["message"]

    await batch(api, "jobs", **body, plan=old.json()["details"]["plan"])

    page = (await api.get("/api/v1/containers", params={"q": name})).json()
    assert page["items"] == []


async def test_a_batch_is_cancelled_and_its_rest_done_again(api: httpx.AsyncClient) -> None:
    """What has not ended ends; a second try has exactly that, as a batch of its own."""
    name = f"stopped{secrets.token_hex(2)}"
    body = {"hostname": name, "template": "debian-base", "count": 6}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    accepted = await api.post("/api/v1/containers", json=body, headers=key)
    assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
    assert (await api.post("/api/v1/containers", json=body, headers=key)).json() == accepted.json()
    job = accepted.json()["job"]["id"]

    shown = await api.post(f"/api/v1/jobs/{job}/cancel?plan=true")
    cancellation = await api.post(f"/api/v1/jobs/{job}/cancel")

    assert (shown.status_code, len(shown.json()["items"]) > 0) == (httpx.codes.OK, True), shown.text
    assert cancellation.status_code == httpx.codes.ACCEPTED
    events = await job_events(api, job)
    assert events[-1].content["state"] == "cancelled"
    record = (await api.get(f"/api/v1/jobs/{job}")).json()
    assert record["counts"]["cancelled"] + record["counts"]["succeeded"] == 6
    phased = await api.post(f"/api/v1/jobs/{job}/retry", json={"phase": "sync"})
    assert phased.status_code == httpx.codes.UNPROCESSABLE_ENTITY, phased.text
    assert [each["field"] for each in phased.json()["errors"]] == ["phase"]
    plan = await api.post(f"/api/v1/jobs/{job}/retry?plan=true")
    assert len(plan.json()["items"]) == record["counts"]["cancelled"], plan.text
    retried = await api.post(f"/api/v1/jobs/{job}/retry", json={"plan": plan.json()["hash"]})
    assert retried.status_code == httpx.codes.ACCEPTED, retried.text
    assert retried.json()["counts"]["total"] == record["counts"]["cancelled"]
    assert (await job_events(api, retried.json()["job"]["id"]))[-1].content["state"] == "succeeded"
    children = (await api.get("/api/v1/jobs", params={"parent": job})).json()["items"]
    assert {each["parent"] for each in children} == {job}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "container.start"}, "selection"),
        ({"kind": "container.start", "container": "a", "selection": "101"}, "selection"),
        ({"kind": "container.start", "container": "a", "plan": "x"}, "plan"),
        ({"kind": "container.start", "selection": "tag:"}, "selection"),
        ({"kind": "container.start", "selection": "-tag:none"}, "selection"),
        ({"kind": "container.start", "selection": "name:nobody-has-it"}, "selection"),
        ({"kind": "container.clone", "selection": "name:*", "args": {"hostname": "a"}}, "kind"),
        ({"kind": "batch", "selection": "name:*"}, "kind"),
    ],
)
async def test_wrong_batches_name_their_field(
    api: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    """With 422."""
    answer = await api.post("/api/v1/jobs", json=body)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def batch(api: httpx.AsyncClient, path: str, **body: Any) -> list[ServerEvent]:
    """Ask for a batch and follow it to its good end."""
    answer = await api.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert answer.json()["counts"]["failed"] == 0
    events = await job_events(api, answer.json()["job"]["id"])
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert events[-1].content["percent"] == 100
    return events


def most_at_once(events: list[ServerEvent]) -> int:
    """Return how many items ran at the same time, by the stream."""
    states: dict[int, str] = {}
    most = 0
    for event in events:
        if event.kind == "item":
            states[event.content["index"]] = event.content["state"]
            most = max(most, sum(state == "running" for state in states.values()))
    return most
