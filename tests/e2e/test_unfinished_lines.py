"""A line that has no end yet (progress, a prompt) is seen as it is, replaced in place, and stored once."""

import asyncio
import os
import pty
import re
import secrets
import signal
import sys

import httpx
import pytest
from playwright.async_api import expect

from support.browser import Browsing
from support.command_line import slipway
from support.job_logs import lines
from support.stack import RunningStack, create, job_events
from support.waiting import until

WHOLE = ["it begins", "fetched 100 %", "Shall it go on? yes", "and that is all", "the next has run"]


async def begin(api: httpx.AsyncClient) -> str:
    """Create a container whose script shows its progress and waits a while in a prompt; return the job."""
    accepted = await create(api, template="progress", hostname=f"progress-{secrets.token_hex(3)}")
    job: str = accepted["job"]["id"]
    return job


def scripts(output: list[str]) -> list[str]:
    """Return the lines of the scripts."""
    return output[output.index("it begins") :]


async def log_of(api: httpx.AsyncClient, job: str) -> list[str]:
    """Return the lines of a job's log as text."""
    return (await api.get(f"/api/v1/jobs/{job}/log")).text.splitlines()


async def test_log_has_each_line_once(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Its states come while it runs, also after the worker was killed; only its last form is stored."""
    job = await begin(api)

    async def waits() -> bool:
        return (await log_of(api, job))[-1:] == ["Shall it go on? "]

    async with asyncio.timeout(60), api.stream("GET", f"/api/v1/jobs/{job}/events") as stream:
        async for line in stream.aiter_lines():
            if 'is_unfinished":true' in line:
                break
    os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGKILL)
    await until(waits, within_seconds=60)
    events = await asyncio.wait_for(job_events(api, job), 90)

    async def is_stored() -> bool:
        stored = await job_events(api, job)
        return not any(event.content.get("is_unfinished") for event in stored)

    states = [event.content["lines"][0]["text"] for event in events if event.content.get("is_unfinished")]
    assert len([state for state in states if state.startswith("fetched")]) >= 2
    assert "Shall it go on? " in states
    assert scripts(lines(events)) == WHOLE
    assert scripts(await log_of(api, job)) == WHOLE
    await until(is_stored, within_seconds=30)
    assert scripts(lines(await job_events(api, job))) == WHOLE
    assert scripts(await log_of(api, job)) == WHOLE


@pytest.mark.browser
@pytest.mark.slow
async def test_page_replaces_it(api: httpx.AsyncClient, signed_in: Browsing) -> None:
    """There is one line of it at any time."""
    page = signed_in.page
    job = await begin(api)
    await page.goto(f"/#/jobs/{job}")
    fetched = page.locator(".log-line", has_text="fetched")
    seen: set[str] = set()

    await expect(fetched).to_have_count(1, timeout=60_000)
    while "fetched 100 %" not in seen:
        seen |= {*await fetched.all_inner_texts()}
        assert await fetched.count() == 1
        await asyncio.sleep(0.1)
    await expect(page.locator(".log-line").last).to_have_text("Shall it go on? ")
    await expect(page.locator(".log-line").last).to_have_text("the next has run", timeout=60_000)

    assert len(seen) >= 3
    assert scripts(await page.locator(".log-line").all_inner_texts()) == WHOLE
    assert signed_in.complaints == []


async def test_command_line_replaces_it_in_a_terminal(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """It is drawn anew there; elsewhere only whole lines are written."""
    job = await begin(api)
    keyboard, terminal = pty.openpty()
    command = (sys.executable, "-m", "slipway.cli", "logs", job, "--data", str(stack.data))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    os.set_blocking(keyboard, False)
    shown = bytearray()

    def has_shown(text: bytes) -> bool:
        try:
            shown.extend(os.read(keyboard, 65536))
        except (BlockingIOError, OSError):
            return text in shown
        return text in shown

    await until(lambda: has_shown(b"Shall it go on?"), within_seconds=60)
    states = set(re.findall(rb"fetched \d+ %", shown))
    await until(lambda: has_shown(b"the next has run"), within_seconds=60)
    while process.returncode is None:
        has_shown(b"")
        await asyncio.sleep(0.05)
    os.close(keyboard)
    status, plain = await slipway(stack, "logs", job)

    assert len(states) >= 3
    assert (process.returncode, status) == (0, 0)
    written = [line.removeprefix("      |   ") for line in plain.splitlines() if "      |   " in line]
    assert scripts(written)[: len(WHOLE)] == WHOLE
