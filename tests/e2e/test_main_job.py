"""A container, from nothing to its page and its password, as anyone sees it over HTTP."""

import secrets

import httpx

from support.clients import http_client
from support.stack import RunningStack, create, job_events

PHASES = ("create", "start", "deploy", "sync", "finalize")
STARTED = (0, 20, 35, 60, 90)
FINISHED = (20, 35, 60, 90, 100)


async def test_ready(stack: RunningStack) -> None:
    """What `endpoints.json` names is ready, without a token."""
    async with stack.client(token="") as client:
        answer = await client.get("/readyz")

    assert answer.status_code == httpx.codes.OK


async def test_wrong_token(stack: RunningStack) -> None:
    """A wrong token opens nothing, and is answered with a problem."""
    async with stack.client(token="wrong") as client:
        answer = await client.get("/api/v1/containers")

    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.json()["code"]


async def test_templates(api: httpx.AsyncClient) -> None:
    """The three templates that come along are served."""
    answer = await api.get("/api/v1/templates")

    assert {each["name"] for each in answer.json()["items"]} >= {"debian-base", "nginx-site", "postgresql"}


async def test_container_from_template(api: httpx.AsyncClient) -> None:
    """A creation reports its five phases in order, and ends with a service that answers and its password."""
    accepted = await create(api, template="nginx-site", hostname=f"site-{secrets.token_hex(3)}")

    events = await job_events(api, accepted["job"]["id"])

    phases = [event.content for event in events if event.kind == "phase"]
    expected = [
        each
        for phase, start, end in zip(PHASES, STARTED, FINISHED, strict=True)
        for each in ((phase, "started", start), (phase, "finished", end))
    ]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert [(each["phase"], each["status"], each["percent"]) for each in phases] == expected
    container = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    urls = [service["url"] for service in container["services"] if service.get("url")]
    async with http_client() as outside:
        page = await outside.get(urls[0])
    assert page.status_code == httpx.codes.OK


async def test_credential_revealed(api: httpx.AsyncClient) -> None:
    """A generated password is named with the container and shown when asked for."""
    accepted = await create(api, template="postgresql", hostname=f"db-{secrets.token_hex(3)}")
    events = await job_events(api, accepted["job"]["id"])
    path = f"/api/v1/containers/{accepted['container']['id']}"
    container = (await api.get(path)).json()

    stored = {each["name"]: each["id"] for each in container["credentials"]}
    revealed = await api.post(f"{path}/credentials/{stored['postgresql/password']}/reveal")

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert revealed.status_code == httpx.codes.OK
    assert len(revealed.json()["value"]) > 8


async def test_delete_frees_the_name(api: httpx.AsyncClient) -> None:
    """A deleted container's name can be taken again."""
    name = f"twice-{secrets.token_hex(3)}"
    first = await create(api, template="debian-base", hostname=name)
    await job_events(api, first["job"]["id"])
    taken = await api.post("/api/v1/containers", json={"template": "debian-base", "hostname": name})
    deletion = await api.delete(f"/api/v1/containers/{first['container']['id']}")
    events = await job_events(api, deletion.json()["job"]["id"])

    second = await create(api, template="debian-base", hostname=name)

    assert taken.is_client_error
    assert events[-1].content["state"] == "succeeded"
    assert (await job_events(api, second["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_stream_resumes(api: httpx.AsyncClient) -> None:
    """A stream taken up after any event goes on with the next one."""
    accepted = await create(api, template="debian-base", hostname=f"cut-{secrets.token_hex(3)}")
    whole = await job_events(api, accepted["job"]["id"])
    path = f"/api/v1/jobs/{accepted['job']['id']}/events"
    middle = len(whole) // 2

    rest = await api.get(path, headers={"Last-Event-ID": whole[middle].id or ""})

    ids = [line.removeprefix("id: ") for line in rest.text.splitlines() if line.startswith("id:")]
    assert ids == [event.id for event in whole[middle + 1 :]]
