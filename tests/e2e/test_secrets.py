"""No secret of a run is in a log, an event, a row in clear, a record of requests, or a process list."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from support.stack import RunningStack, create, job_events

DATABASE_SERVICES = ("gateway", "inventory", "catalog")


@pytest.mark.slow
async def test_secrets_stay_secret(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Given, generated and found secrets, the lab's token and the bearer token are nowhere to be seen."""
    options: dict[str, Any] = {
        "password": f"Root-{secrets.token_hex(8)}",
        "variables": {"passphrase": secrets.token_hex(12)},
    }
    watching = asyncio.create_task(command_lines())
    accepted = await create(api, template="counting", hostname=f"hush-{secrets.token_hex(2)}", **options)
    events = await job_events(api, accepted["job"]["id"])
    watching.cancel()
    seen = await watching

    container = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    secret_values = [options["password"], options["variables"]["passphrase"], stack.token]
    secret_values.append(Path(stack.endpoints["lab"]["token_secret_file"]).read_text().strip())
    secret_values += [await revealed(api, container["id"], each["id"]) for each in container["credentials"]]

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert len(secret_values) == 6
    assert options["password"] in secret_values[4:]
    places = {
        "events": "".join(event.text for event in events),
        "processes": seen,
        "container": str(container),
    }
    places |= {"tables": await tables(stack), **files(stack)}
    assert [
        (name, number)
        for name, text in places.items()
        for number, each in enumerate(secret_values)
        if each in text
    ] == []
    assert len(places["tables"]) > 10_000
    assert "slipway.provisioner" in seen


async def command_lines() -> str:
    """Look at every process's arguments until cancelled."""
    seen: set[str] = set()
    try:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return "\n".join(seen)


async def tables(stack: RunningStack) -> str:
    """Read every row of every service's schema as text."""
    texts = []
    for service in DATABASE_SERVICES:
        url = next(stack.data.resolve().rglob(f"{service}/database-url"), None) or next(
            each for link in stack.data.glob("*") for each in link.resolve().rglob(f"{service}/database-url")
        )
        connection = await asyncpg.connect(url.read_text().strip())
        names = await connection.fetch("select tablename from pg_tables where schemaname = $1", service)
        for name in names:
            rows = await connection.fetch(f'select t::text from {service}."{name[0]}" t')  # noqa: S608
            texts += [str(row[0]) for row in rows]
        await connection.close()
    return "\n".join(texts)


def files(stack: RunningStack) -> dict[str, str]:
    """Read what is written: the logs, the record of requests, the bus's own files."""
    logs = [stack.data.parent / "up.log", stack.record, *stack.data.rglob("*.log")]
    bus = [path for link in stack.data.glob("*nats*") for path in link.resolve().rglob("*.blk")]
    assert bus
    return {str(path): path.read_bytes().decode(errors="replace") for path in (*logs, *bus) if path.is_file()}


async def revealed(api: httpx.AsyncClient, container: str, credential: str) -> str:
    """Ask for a credential as a user does."""
    answer = await api.post(f"/api/v1/containers/{container}/credentials/{credential}/reveal")
    value: str = answer.json()["value"]
    return value
