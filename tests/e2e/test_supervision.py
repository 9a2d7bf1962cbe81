"""What `slipway up` promises of its processes: started again, stopped in time, nothing left behind."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import stat
import sys
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from slipway.contracts.registry import SERVICES
from support.clients import http_client
from support.stack import RunningStack, create, job_events, running_stack, stack_folder
from support.waiting import lives, until

OWN_SECRETS = {
    "fork server": set(),
    "catalog": {"catalog.nk", "catalog"},
    "gateway": {"gateway.nk", "gateway", "bootstrap-token"},
    "inventory": {"inventory.nk", "inventory", "key-ring"},
    "monitor": {"monitor.nk"},
    "provisioner": {"provisioner.nk"},
}
"""Keys of the bus, passwords of databases, the first user's token and the key ring, by who knows them."""


ONCE = frozenset({"alembic", "mako", "rich", "typer"})
UNNEEDED = {
    "up": ONCE | {"asyncpg", "fastapi", "httpx", "nats", "pydantic", "sqlalchemy"},
    **dict.fromkeys((*SERVICES, "fork server"), ONCE),
}
"""Libraries that a process may need once, at its start, and not in its memory for months."""


def fork_server(stack: RunningStack) -> int:
    """Return the pid of the stack's fork server."""
    children = psutil.Process(stack.process.pid).children()
    (server,) = (each.pid for each in children if "fork server" in " ".join(each.cmdline()))
    return server


def listening(pid: int) -> list[int]:
    """Return the ports on which a process listens."""
    connections = psutil.Process(pid).net_connections()
    return [each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN]


def secrets_in_memory(stack: RunningStack, operators: str) -> dict[str, set[str]]:
    """Return the names of the secrets that are found in the memory of each service."""
    texts = {"operator's": operators}
    services = (stack.data / "services").resolve()
    for path in services.rglob("*.nk"):
        texts[path.name] = path.read_text().strip()
    for path in services.rglob("database-url"):
        texts[path.parent.name] = str(httpx.URL(path.read_text().strip()).password)
    texts["bootstrap-token"] = stack.token
    (key,) = json.loads((stack.data / "secrets" / "key-ring.json").read_text())["keys"].values()
    pids = {name: stack.endpoints["pids"][name] for name in SERVICES} | {"fork server": fork_server(stack)}
    memories = {name: memory_of(pid) for name, pid in pids.items()}
    contents = {name: text.encode() for name, text in texts.items()} | {"key-ring": base64.b64decode(key)}
    return {
        name: {each for each, content in contents.items() if content in memory}
        for name, memory in memories.items()
    }


def memory_of(pid: int) -> bytes:
    """Read all memory that a process may write, and the environment that it was started with."""
    content = [Path(f"/proc/{pid}/environ").read_bytes()]
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            area, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(each, 16) for each in area.split("-"))
                memory.seek(begin)
                with contextlib.suppress(OSError):
                    content.append(memory.read(end - begin))
    return b"".join(content)


def libraries_in_memory(pid: int, names: AbstractSet[str]) -> set[str]:
    """Return those that a process has imported: code knows the path of its file."""
    memory = memory_of(pid)
    return {name for name in names if f"site-packages/{name}/__init__.py".encode() in memory}


async def test_endpoints_are_private(stack: RunningStack) -> None:
    """Who may read the data folder is its owner alone, and secrets stand in it as paths only."""
    mode = stat.S_IMODE((stack.data / "run" / "endpoints.json").stat().st_mode)

    content = (stack.data / "run" / "endpoints.json").read_text()

    assert mode & 0o077 == 0
    assert stat.S_IMODE(stack.data.stat().st_mode) == 0o700
    assert stack.token not in content


def test_only_what_is_needed_is_imported(stack: RunningStack) -> None:
    """What a start needs once is in processes that have ended with it."""
    own = {"up": stack.process.pid, "fork server": fork_server(stack)}
    pids = {name: stack.endpoints["pids"][name] for name in SERVICES} | own

    found = {name: libraries_in_memory(pids[name], unneeded) for name, unneeded in UNNEEDED.items()}

    assert {name: each for name, each in found.items() if each} == {}
    assert libraries_in_memory(pids["gateway"], {"fastapi"}) == {"fastapi"}, "the search finds nothing"


@pytest.mark.root
def test_ordinary_user(stack: RunningStack) -> None:
    """Root's services and servers run as an ordinary user."""
    pids = {name: pid for name, pid in stack.endpoints["pids"].items() if name != "lab"}

    owners = {name: psutil.Process(pid).uids() for name, pid in pids.items()}

    assert not any(0 in uids for uids in owners.values()), owners


@pytest.mark.parametrize("service", ["gateway", "catalog", "nats"])
async def test_restart(stack: RunningStack, service: str) -> None:
    """A killed process is back within seconds, and the endpoints name the new one."""
    before = stack.endpoints["pids"][service]
    os.kill(before, signal.SIGKILL)

    await until(lambda: stack.endpoints["pids"].get(service) not in {before, None})

    async with stack.client() as client:
        await _ready(client)
        assert lives(stack.endpoints["pids"][service])


async def test_fork_server_killed(stack: RunningStack) -> None:
    """What it has forked goes on, and a killed service comes back from the server in its place."""
    pids = stack.endpoints["pids"]
    server = fork_server(stack)

    os.kill(server, signal.SIGKILL)
    await until(lambda: not lives(server))
    os.kill(pids["monitor"], signal.SIGKILL)
    await until(lambda: stack.endpoints["pids"].get("monitor") not in {pids["monitor"], None})

    others = {name: pid for name, pid in stack.endpoints["pids"].items() if name != "monitor"}
    assert others == {name: pid for name, pid in pids.items() if name != "monitor"}
    assert all(lives(pid) for pid in others.values())
    assert fork_server(stack) != server


async def test_own_metrics(stack: RunningStack) -> None:
    """A service shows what it measures itself, not what others would."""
    token = (stack.data / "secrets" / "metrics-token").read_text().strip()
    pids = {name: pid for name, pid in stack.endpoints["pids"].items() if name in SERVICES}
    async with http_client(headers={"Authorization": f"Bearer {token}"}) as http:
        texts = {}
        for name, pid in pids.items():
            (port,) = await until(partial(listening, pid))
            texts[name] = (await http.get(f"http://127.0.0.1:{port}/metrics")).text

    assert [name for name, text in texts.items() if "slipway_gateway_viewers" in text] == ["gateway"]
    assert all("slipway_queries" in text for text in texts.values())


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
    """Nothing outlives a killed `up`, the next one on the same folder works, and a stop takes ten seconds.

    What a process of it knows is its own: no operator's environment, no other one's secrets.
    """
    with stack_folder() as data:
        mine = secrets.token_hex(16)
        with running_stack("--lab", "--guests", "simulated", data=data, NOT_FOR_SERVICES=mine) as first:
            pids = first.endpoints["pids"]
            known = secrets_in_memory(first, mine)
            assert {
                name: each - OWN_SECRETS[name] for name, each in known.items() if each - OWN_SECRETS[name]
            } == {}
            assert {"gateway", "inventory"} <= set.union(*known.values()), "the search finds nothing"
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


@pytest.mark.slow
async def test_other_nodes() -> None:
    """A lab with another number of nodes than before ends `up`, with the lab's own words."""
    with stack_folder() as data:
        (data / "lab").mkdir(parents=True)
        (data / "lab" / "nodes.json").write_text('["pve1", "pve2"]')
        command = (sys.executable, "-m", "slipway.cli", "up", "--data", str(data), "--port", "0")
        process = await asyncio.create_subprocess_exec(
            *command, "--lab", "--guests", "simulated", "--nodes", "3", stderr=asyncio.subprocess.PIPE
        )

        _, errors = await asyncio.wait_for(process.communicate(), 60)

        assert process.returncode == 1
        assert "has 2 nodes and not 3: their number is settled" in errors.decode()


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
