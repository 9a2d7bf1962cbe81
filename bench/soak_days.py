"""What happens on a day of sixty guests, as their owners would do it."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import httpx

from slipway.client.sse import follow

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
JOB_SECONDS = 300.0
AT_ONCE = 4


async def settle(api: httpx.AsyncClient) -> list[str]:
    """Create the guests as one batch; their ids."""
    body = {"template": "debian-base", "hostname": "guest", "count": GUESTS}
    await job(api, "POST", "containers", body)
    page = (await api.get("/api/v1/containers", params={"limit": GUESTS})).json()["items"]
    assert len(page) == GUESTS
    return [each["id"] for each in page]


async def day(api: httpx.AsyncClient, guests: Sequence[str], number: int) -> None:
    """Do what people do on one day, some of it at once; a viewer of all events is there meanwhile."""
    chosen = [guests[(number * RESTARTS + place) % len(guests)] for place in range(RESTARTS)]
    acts = [_read(api), *(_come_and_go(api) for _ in range(CREATIONS))]
    acts += [
        _look_after(api, guest, f"day{number}" if place < SNAPSHOTS else None)
        for place, guest in enumerate(chosen)
    ]
    slots = asyncio.Semaphore(AT_ONCE)

    async def in_turn(act: Coroutine[Any, Any, None]) -> None:
        async with slots:
            await act

    viewer = asyncio.create_task(_view(api))
    await asyncio.gather(*map(in_turn, acts))
    viewer.cancel()


async def job(api: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None) -> str:
    """Ask for a job until it is accepted, as a client does, and follow it to its end; the container's id."""
    key = {"Idempotency-Key": secrets.token_hex(8)}
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        answer = await api.request(method, f"/api/v1/{path}", json=body, headers=key)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            break
        await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    accepted = answer.json()
    async with asyncio.timeout(JOB_SECONDS):
        events = [event async for event in follow(api, f"/api/v1/jobs/{accepted['job']['id']}/events")]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    return str((accepted.get("container") or {}).get("id", ""))


async def _come_and_go(api: httpx.AsyncClient) -> None:
    body = {"template": TEMPLATE, "hostname": f"new-{secrets.token_hex(3)}"}
    container = await job(api, "POST", "containers", body)
    await job(api, "DELETE", f"containers/{container}")


async def _look_after(api: httpx.AsyncClient, guest: str, snapshot: str | None) -> None:
    if snapshot is not None:
        await job(api, "POST", f"containers/{guest}/snapshot", {"snapshot": snapshot})
        await job(api, "POST", f"containers/{guest}/snapshot-delete", {"snapshot": snapshot})
    await job(api, "POST", f"containers/{guest}/restart")


async def _read(api: httpx.AsyncClient) -> None:
    secret = api.headers["Authorization"].removeprefix("Bearer ")
    (await api.post("/api/v1/session", json={"secret": secret})).raise_for_status()
    api.cookies.clear()
    for path in ("containers", "jobs", "audit", "clusters") * (READS // 4):
        (await api.get(f"/api/v1/{path}")).raise_for_status()


async def _view(api: httpx.AsyncClient) -> None:
    async for _ in follow(api, "/api/v1/events"):
        pass
