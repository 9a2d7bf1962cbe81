"""Ctrl-C while a command shows a job: the job goes on, and the command says how to go on as well."""

import asyncio
import signal
import sys

import httpx
import pytest

from support.stack import RunningStack, create, job_events

pytestmark = pytest.mark.slow


async def test_a_followed_job_goes_on(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """The first Ctrl-C ends the command with 130 and a sentence; nothing is cancelled."""
    accepted = await create(api, hostname="goes-on", template="counting")
    job = accepted["job"]["id"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway.cli", "follow", job, "--data", str(stack.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    events = await job_events(api, job)

    assert process.returncode == 130, said
    assert said.decode() == (
        f"The job goes on: `slipway follow {job}` shows it, `slipway cancel {job}` ends it.\n"
    )
    assert events[-1].content["state"] == "succeeded"
