"""`?plan=true`: what a job would do, by the job's own way, and nothing is changed."""

import json
import secrets
from typing import Any

import httpx
import pytest

from support.stack import RunningStack, create, done, job_events

PLAN = {"plan": "true"}


@pytest.fixture
async def container(api: httpx.AsyncClient) -> dict[str, Any]:
    """A container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"plan-{secrets.token_hex(3)}")
    assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
    body: dict[str, Any] = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return body


async def planned(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask for a plan."""
    answer = await api.post(f"/api/v1/{path}", params=PLAN, json=body)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


def effects(plan: dict[str, Any]) -> dict[str, str]:
    """Step to what it would do."""
    return {step["name"]: step["effect"] for step in plan["steps"]}


async def test_a_cancel_is_planned_and_nothing_ends(api: httpx.AsyncClient) -> None:
    """It says which step would be ended and what would be lost; the job goes on."""
    accepted = await create(api, template="counting", hostname=f"goes-on-{secrets.token_hex(3)}")
    job, container = accepted["job"]["id"], accepted["container"]["id"]
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if "number 5" in line:
                break

    ends = await planned(api, f"jobs/{job}/cancel")
    destroys = (await api.delete(f"/api/v1/containers/{container}", params={**PLAN, "cancel": "true"})).json()
    events = await job_events(api, job)
    over = await api.post(f"/api/v1/jobs/{job}/cancel", params=PLAN)

    assert effects(ends) == {"cancel": "acts"}
    assert "sync.script.0" in ends["steps"][0]["message"]
    assert "retry the job, or delete it" in ends["warnings"][0]
    assert effects(destroys) == {"cancel": "acts", "destroy": "later"}
    assert accepted["container"]["hostname"] in destroys["destroys"][0]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert (over.status_code, over.json()["code"]) == (httpx.codes.CONFLICT, "job.ended")


async def test_the_cancel_of_a_batch_is_planned(api: httpx.AsyncClient) -> None:
    """It names what would be ended, and nothing ends; what can't be retried is not planned either."""
    body = {"hostname": f"whole-{secrets.token_hex(3)}", "template": "debian-base", "count": 2}
    batch = (await api.post("/api/v1/containers", json=body)).json()["job"]["id"]

    ends = await planned(api, f"jobs/{batch}/cancel")
    again = await api.post(f"/api/v1/jobs/{batch}/retry", params=PLAN)
    events = await job_events(api, batch)

    assert [each["hostname"] for each in ends["items"]] == [f"{body['hostname']}-{n}" for n in (1, 2)]
    assert (again.status_code, again.json()["code"]) == (409, "job.not-retryable")
    assert events[-1].content["state"] == "succeeded", events[-1].text


async def test_a_creation_is_planned_and_nothing_is_made(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Checks, steps and the request are shown; no container, no job, no change on the host comes of it."""
    body = {"template": "nginx-site", "hostname": "never-made", "features": {"keyctl": True}}
    fleet, jobs = await _fleet(api), await _jobs(api)
    requests = len(stack.record.read_text().splitlines())

    plan = await planned(api, "containers", body)
    again = await planned(api, "containers", body)

    seen = effects(plan)
    request = next(step["request"] for step in plan["steps"] if step["name"] == "create.task")
    sent = [json.loads(line) for line in stack.record.read_text().splitlines()[requests:]]
    assert (seen["create.preflight"], seen["create.ostemplate"], seen["create.task"]) == (
        "done",
        "done",
        "acts",
    )
    assert seen["sync.script.0"] == "later"
    assert request.startswith("POST /nodes/lab/lxc")
    assert "hostname=never-made" in request
    assert "keyctl" in plan["warnings"][0]
    assert plan["container"]["is_provisional"]
    assert plan["hash"] == again["hash"]
    assert await _fleet(api) == fleet
    assert await _jobs(api) == jobs
    assert not [each for each in sent if each["method"] != "GET" and "/lxc" in each["path"]]


async def test_lives_are_planned(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """What is lost, what warnings, and what is there already is said before anything happens."""
    path = f"containers/{container['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "before"})

    deletion = (await api.delete(f"/api/v1/{path}", params=PLAN)).json()
    rollback = await planned(api, f"{path}/rollback", {"snapshot": "before"})
    start = await planned(api, f"{path}/start")
    shutdown = await planned(api, f"{path}/shutdown", {"grace_seconds": 7})
    resize = await planned(api, f"{path}/resize", {"memory": 640})
    clone = await planned(api, f"{path}/clone", {"hostname": "planned-copy"})
    missing = await planned(api, f"{path}/rollback", {"snapshot": "nothing"})
    job = await planned(api, "jobs", {"kind": "container.stop", "container": container["id"]})
    still = (await api.get(f"/api/v1/{path}")).json()

    assert effects(deletion) == {"delete.look": "done", "delete.stop": "acts", "delete.task": "acts"}
    assert container["hostname"] in deletion["destroys"][0]
    assert rollback["destroys"][0].startswith(f"all that happened in container {container['vmid']}")
    assert "stays so" in rollback["warnings"][0]
    assert start["steps"][1]["message"] == "it runs already"
    assert shutdown["warnings"] == ["If it has not shut down after 7 s, it is stopped."]
    assert "memory=640" in resize["steps"][1]["request"]
    assert effects(clone)["clone.snapshot"] == "acts"
    assert effects(missing)["rollback.look"] == "fails"
    assert missing["steps"][0]["problem"]["code"] == "snapshot.not-found"
    assert effects(job) == {"stop.look": "done", "stop.task": "acts"}
    assert (still["lifecycle"], still["job"]) == ("ready", None)


async def test_a_retry_is_planned(api: httpx.AsyncClient) -> None:
    """Steps that a retry leaves out are named."""
    accepted = await create(api, template="failing", hostname=f"plan-{secrets.token_hex(3)}")
    await job_events(api, accepted["job"]["id"])

    plan = await planned(api, f"jobs/{accepted['job']['id']}/retry")

    assert effects(plan)["create.task"] == "skipped"
    assert effects(plan)["start.task"] == "done"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"template": "nothing", "hostname": "x"}, 404, "template"),
        ({"template": "debian-base", "hostname": "a b"}, 422, "hostname"),
        ({"template": "debian-base", "hostname": "x", "memory": 0}, 422, "memory"),
    ],
)
async def test_what_would_be_refused_is_refused(
    api: httpx.AsyncClient, body: dict[str, Any], status: int, field: str
) -> None:
    """A plan goes through the same rules."""
    answer = await api.post("/api/v1/containers", params=PLAN, json=body)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def _fleet(api: httpx.AsyncClient) -> list[str]:
    return [each["id"] for each in (await api.get("/api/v1/containers")).json()["items"]]


async def _jobs(api: httpx.AsyncClient) -> list[str]:
    return [each["id"] for each in (await api.get("/api/v1/jobs")).json()["items"]]
