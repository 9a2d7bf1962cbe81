"""What `slipway up` promises of its processes: started again, stopped in time, nothing left behind."""

import asyncio
import json
import os
import secrets
import signal
import stat
import sys
from pathlib import Path

import httpx
import pytest

from support.stack import RunningStack, create, job_events, running_stack, stack_folder
from support.waiting import lives, until


async def test_endpoints_are_private(stack: RunningStack) -> None:
    """Who may read the data folder is its owner alone, and secrets stand in it as paths only."""
    mode = stat.S_IMODE((stack.data / "run" / "endpoints.json").stat().st_mode)

    content = (stack.data / "run" / "endpoints.json").read_text()

    assert mode & 0o077 == 0
    assert stat.S_IMODE(stack.data.stat().st_mode) == 0o700
    assert stack.token not in content


@pytest.mark.root
def test_ordinary_user(stack: RunningStack) -> None:
    """Root's services and servers run as an ordinary user."""
    pids = {name: pid for name, pid in stack.endpoints["pids"].items() if name != "lab"}

    owners = {name: Path(f"/proc/{pid}").stat().st_uid for name, pid in pids.items()}

    assert 0 not in owners.values(), owners


@pytest.mark.parametrize("service", ["gateway", "catalog", "nats"])
async def test_restart(stack: RunningStack, service: str) -> None:
    """A killed process is back within seconds, and the endpoints name the new one."""
    before = stack.endpoints["pids"][service]
    os.kill(before, signal.SIGKILL)

    await until(lambda: stack.endpoints["pids"].get(service) not in {before, None})

    async with stack.client() as client:
        await _ready(client)
        assert lives(stack.endpoints["pids"][service])


async def test_provisioner_killed(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A creation goes on after its worker was killed, and reports every phase once."""
    accepted = await create(api, template="nginx-site", hostname=f"kill-{secrets.token_hex(3)}")
    following = asyncio.create_task(job_events(api, accepted["job"]["id"]))
    await _percent(api, accepted["job"]["id"], at_least=20)

    os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGKILL)

    events = await asyncio.wait_for(following, 60)
    phases = [(event.content["phase"], event.content["status"]) for event in events if event.kind == "phase"]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert len(phases) == len(set(phases)) == 10


@pytest.mark.slow
async def test_killed_and_started_again() -> None:
    """Nothing outlives a killed `up`, the next one on the same folder works, and a stop takes ten seconds."""
    with stack_folder() as data:
        with running_stack("--lab", "--guests", "simulated", data=data) as first:
            pids = first.endpoints["pids"]
            first.process.kill()
            first.process.wait()
            await until(lambda: not any(lives(pid) for pid in pids.values()))

        with running_stack("--lab", "--guests", "simulated", data=data) as second:
            async with second.client() as client:
                await _ready(client)
            took = await asyncio.to_thread(second.stop)
            assert second.process.returncode == 0
            assert not (data / "run" / "endpoints.json").exists()

    assert took < 10


@pytest.mark.slow
async def test_stopped_while_it_starts() -> None:
    """SIGTERM ends also an `up` that is not ready yet, in good order and within ten seconds."""
    with stack_folder() as data:
        command = (sys.executable, "-m", "slipway.cli", "up", "--data", str(data), "--port", "0")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        noted = data / "run" / "pids.json"
        await until(lambda: noted.exists() and "nats" in noted.read_text(), within_seconds=60)
        pids = [each["pid"] for each in json.loads(noted.read_text())]

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert not any(lives(pid) for pid in pids)


async def _ready(client: httpx.AsyncClient) -> None:
    """Wait until the gateway answers again, and the catalog behind it."""
    async with asyncio.timeout(30):
        while True:
            try:
                if (await client.get("/api/v1/templates")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def _percent(client: httpx.AsyncClient, job: str, *, at_least: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if (await client.get(f"/api/v1/jobs/{job}")).json()["percent"] >= at_least:
                return
            await asyncio.sleep(0.05)
