"""What happens on a day of sixty guests, as their owners would do it."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import httpx

from slipway.client.sse import follow
from support.stack import create, done

GUESTS = 60
LINES = 3000
"""Of the log of a creation."""
RESTARTS, SNAPSHOTS, CREATIONS = 10, 5, 2
JOBS = RESTARTS + 2 * SNAPSHOTS + 2 * CREATIONS
"""On a day; a batch counts as its items."""
READS = 20
TEMPLATE = "talking"
FILES = {
    "template.yaml": (
        f"name: {TEMPLATE}\nversion: 1.0.0\ndescription: A script that says much.\n"
        "ostemplate: debian-12-standard\nscripts:\n  10-talk.sh: {description: Talks}\n"
    ),
    "scripts/10-talk.sh": (
        f"i=0\nwhile [ $i -lt {LINES} ]; do\n"
        '    echo "Unpacking package-$i (1.0.$i-1+deb12u3) over (1.0.$i-1) ..."\n    i=$((i + 1))\ndone\n'
    ),
}
BATCH_SECONDS = 300.0


async def settle(api: httpx.AsyncClient) -> list[str]:
    """Create the guests as one batch; their ids."""
    accepted = await create(api, template="debian-base", hostname="guest", count=GUESTS)
    await follow_to_end(api, accepted["job"]["id"])
    page = (await api.get("/api/v1/containers", params={"limit": GUESTS})).json()["items"]
    assert len(page) == GUESTS
    return [each["id"] for each in page]


async def day(api: httpx.AsyncClient, guests: Sequence[str], number: int) -> None:
    """Do what people do on one day; a viewer of all events is there meanwhile."""
    chosen = [guests[(number * RESTARTS + place) % len(guests)] for place in range(RESTARTS)]
    async with asyncio.TaskGroup() as group:
        viewer = group.create_task(_view(api))
        async with asyncio.TaskGroup() as people:
            people.create_task(_read(api))
            for _ in range(CREATIONS):
                people.create_task(_come_and_go(api))
            for place, guest in enumerate(chosen):
                people.create_task(_look_after(api, guest, f"day{number}" if place < SNAPSHOTS else None))
        viewer.cancel()


async def _come_and_go(api: httpx.AsyncClient) -> None:
    name, key = f"new-{secrets.token_hex(3)}", {"Idempotency-Key": secrets.token_hex(8)}
    body = {"template": TEMPLATE, "hostname": name}
    answer = await api.post("/api/v1/containers", json=body, headers=key)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    accepted: dict[str, Any] = answer.json()
    await follow_to_end(api, accepted["job"]["id"])
    answer = await api.delete(f"/api/v1/containers/{accepted['container']['id']}")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    await follow_to_end(api, answer.json()["job"]["id"])


async def _look_after(api: httpx.AsyncClient, guest: str, snapshot: str | None) -> None:
    if snapshot is not None:
        await done(api, f"containers/{guest}/snapshot", {"snapshot": snapshot})
        await done(api, f"containers/{guest}/snapshot-delete", {"snapshot": snapshot})
    await done(api, f"containers/{guest}/restart")


async def _read(api: httpx.AsyncClient) -> None:
    secret = api.headers["Authorization"].removeprefix("Bearer ")
    (await api.post("/api/v1/session", json={"secret": secret})).raise_for_status()
    api.cookies.clear()
    for path in ("containers", "jobs", "audit", "clusters") * (READS // 4):
        (await api.get(f"/api/v1/{path}")).raise_for_status()


async def _view(api: httpx.AsyncClient) -> None:
    async for _ in follow(api, "/api/v1/events"):
        pass


async def follow_to_end(api: httpx.AsyncClient, job: str) -> None:
    """Follow a job to its end, and see that it succeeded."""
    async with asyncio.timeout(BATCH_SECONDS):
        events = [event async for event in follow(api, f"/api/v1/jobs/{job}/events")]
    assert events[-1].content["state"] == "succeeded", events[-1].text
