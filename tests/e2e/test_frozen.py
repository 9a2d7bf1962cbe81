"""A part that hangs is named within ten seconds, by readiness, streams and page; then all goes on."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from slipway.client.sse import follow
from support.browser import Browsing
from support.clients import http_client
from support.job_logs import numbers
from support.stack import RunningStack, create, job_events

REPORTED_WITHIN = 10.0
BACK_WITHIN = 15.0


@contextmanager
def frozen(stack: RunningStack, part: str) -> Iterator[None]:
    """Let a process, with its children, neither run nor end."""
    pid = stack.endpoints["pids"][part]
    all_of_it = [pid, *children(pid)]
    for each in all_of_it:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in all_of_it:
            os.kill(each, signal.SIGCONT)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def until_named(stack: RunningStack, part: str | None, *, within: float) -> int:
    """Wait until readiness names a part, or nothing; the status then."""
    deadline = time.monotonic() + within
    async with http_client(base_url=stack.endpoints["http"], timeout=10) as client:
        while True:
            answer = await client.get("/readyz")
            named = answer.json()["missing"] | answer.json()["degraded"]
            if (part in named) if part else not named:
                return answer.status_code
            assert time.monotonic() < deadline, f"readiness says {named}"
            await asyncio.sleep(0.1)


async def until_reported(api: httpx.AsyncClient, *parts: str) -> None:
    """Follow the fleet until just these are reported as away."""
    async for event in follow(api, "/api/v1/events"):
        if event.kind == "outage" and sorted(event.content["parts"]) == sorted(parts):
            return


async def test_a_frozen_bus_is_named_and_loses_nothing(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Requests say whose fault it is, viewers see it, and a job that ran meanwhile is whole."""
    job = (await create(api, template="counting", hostname=f"ice-{secrets.token_hex(3)}"))["job"]["id"]
    following = asyncio.create_task(job_events(api, job))
    report = asyncio.create_task(until_reported(api, "bus"))
    back = asyncio.create_task(until_reported(api))
    await asyncio.sleep(0.5)  # the viewers are there

    with frozen(stack, "nats"):
        status = await until_named(stack, "bus", within=REPORTED_WITHIN)
        refused = await api.get("/api/v1/containers")
        await asyncio.wait_for(report, REPORTED_WITHIN)
    await until_named(stack, None, within=BACK_WITHIN)
    await asyncio.wait_for(back, BACK_WITHIN)
    events = await following

    assert status == httpx.codes.SERVICE_UNAVAILABLE
    assert (refused.status_code, refused.json()["code"]) == (503, "bus.unavailable")
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert len({event.id for event in events}) == len(events)
    assert numbers(events) == list(range(1, 2001))


@pytest.mark.parametrize(
    ("part", "status"),
    [("postgres", 503), ("inventory", 200), ("monitor", 200), ("provisioner", 200), ("catalog", 200)],
)
async def test_another_part_that_is_frozen_is_named(
    stack: RunningStack, api: httpx.AsyncClient, part: str, status: int
) -> None:
    """What the gateway itself needs makes it unready; of the others it says so, and goes on."""
    began = time.monotonic()

    with frozen(stack, part):
        readiness_status = await until_named(stack, part, within=REPORTED_WITHIN)
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + REPORTED_WITHIN):
            async for event in follow(api, "/api/v1/events"):
                if event.kind == "outage" and part in event.content["parts"]:
                    break
        took = time.monotonic() - began
    await until_named(stack, None, within=BACK_WITHIN)

    assert readiness_status == status
    assert took < REPORTED_WITHIN


async def test_the_page_says_which_part_is_away(signed_in: Browsing, stack: RunningStack) -> None:
    """Beside the name of who is signed in and above the list; it is live again without anybody's doing."""
    page = signed_in.page
    live, above = page.locator("#live"), page.locator("#outages")
    await expect(live).to_have_text("Live")

    with frozen(stack, "nats"):
        await expect(live).to_contain_text("Away: message bus since", timeout=REPORTED_WITHIN * 1000)
        await expect(above).to_contain_text("Message bus: away since")
    await expect(live).to_have_text("Live", timeout=BACK_WITHIN * 1000)
    await expect(above).to_be_hidden()

    assert [each for each in signed_in.complaints if "503" not in each] == []
