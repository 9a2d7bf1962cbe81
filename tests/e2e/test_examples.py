"""The programs of `examples/` do what they say, started as their own docstrings show."""

import asyncio
import os
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from support.clients import http_client
from support.stack import RunningStack, create, job_events

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def program(
    stack: RunningStack, name: str, *arguments: str, **variables: str
) -> AsyncIterator[Process]:
    """Run an example; it is killed at the end if it has not ended."""
    environment = {
        **os.environ,
        "SLIPWAY_URL": stack.endpoints["http"],
        "SLIPWAY_TOKEN": stack.token,
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / name, *arguments, stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines_until(process: Process, last: str) -> list[str]:
    """Read its output up to a line that holds some words."""
    assert process.stdout
    lines: list[str] = []
    async with asyncio.timeout(60):
        while not lines or last not in lines[-1]:
            line = await process.stdout.readline()
            assert line, f"it ended after {lines}"
            lines.append(line.decode().strip())
    return lines


async def new_job(api: httpx.AsyncClient, name: str) -> str:
    """Have a container created; return its job."""
    accepted = await create(api, template="debian-base", hostname=f"{name}-{secrets.token_hex(2)}")
    return str(accepted["job"]["id"])


async def test_watch_jobs(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Phases and the end of a job, from the bus."""
    keys = (stack.endpoints["nats"], stack.endpoints["nats_nkey_file"])
    async with program(stack, "watch_jobs.py", *keys) as process:
        job = (await create(api, template="debian-base", hostname=f"watch-{secrets.token_hex(2)}"))["job"][
            "id"
        ]
        lines = await lines_until(process, f"{job} is over")

    mine = [line for line in lines if line.startswith(job)]
    assert mine[0] == f"{job} 0 % create started"
    assert mine[-1] == f"{job} is over: succeeded"


async def test_create_container(stack: RunningStack) -> None:
    """From the request to the password; a refusal is explained."""
    name = f"made-{secrets.token_hex(2)}"
    async with program(stack, "create_container.py", "debian-base", name) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    async with program(stack, "create_container.py", "debian-base", name) as again:
        await asyncio.wait_for(again.communicate(), 30)

    assert process.returncode == 0
    assert "100 % finalize finished" in output.decode()
    assert "root/password: " in output.decode()
    assert again.returncode == 1


async def test_bot(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """One answer per line."""
    name = f"bot-{secrets.token_hex(2)}"
    accepted = await create(api, template="debian-base", hostname=name)
    await job_events(api, accepted["job"]["id"])
    lines = [f"stop {name}", f"snapshot {name} before", "stop nobody", "list", "dance"]
    async with program(stack, "bot.py") as process:
        output, _ = await asyncio.wait_for(process.communicate("\n".join(lines).encode()), 60)

    answers = output.decode().splitlines()
    assert answers[:3] == [
        f"stop {name}: succeeded",
        f"snapshot {name}: succeeded",
        "there is no container nobody",
    ]
    assert f"{name} (ready, " in answers[3]
    assert answers[4].startswith("I know: ")


async def test_webhook(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """An end of a job arrives signed; what is not signed is refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = (stack.endpoints["nats"], stack.endpoints["nats_nkey_file"])
    secret = {"WEBHOOK_SECRET": secrets.token_hex(16)}
    url = f"http://127.0.0.1:{port}/"
    async with (
        program(stack, "webhook.py", "receive", str(port), **secret) as receiver,
        program(stack, "webhook.py", "send", *keys, url, **secret),
    ):
        job = (await create(api, template="debian-base", hostname=f"hook-{secrets.token_hex(2)}"))["job"][
            "id"
        ]
        lines = await lines_until(receiver, job)
        async with http_client() as stranger:
            refused = await stranger.post(url, json={"id": job})

    assert lines[-1] == f"{job} succeeded"
    assert refused.status_code == httpx.codes.FORBIDDEN
