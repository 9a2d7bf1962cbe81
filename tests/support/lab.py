"""A lab for tests: a pretend Proxmox VE node in this process, and ways to reach it without our own client."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import asyncssh
import httpx

from slipway.lab.faults.scope import Fault
from slipway.lab.node import Lab
from slipway.lab.settings import Timings
from support import waiting
from support.clients import LIMITS, http_client

FAST = Timings(
    auth_delay=0.05,
    resources_period=0.1,
    create_check=0.01,
    lookup_wait=0.0,
    shutdown_rest=0.0,
    stop_task=0.05,
)
"""A node that doesn't keep tests waiting."""
TASK_SECONDS = 60.0


@contextlib.asynccontextmanager
async def running_lab(
    data: Path,
    *,
    guests: Literal["lxc", "simulated", "auto"] = "simulated",
    timings: Timings = FAST,
    name: str | None = "lab",
    **options: Any,
) -> AsyncIterator[Lab]:
    """Run a lab with its data in a folder."""
    lab = Lab(data, guests=guests, timings=timings, name=name, **options)
    await lab.start()
    try:
        yield lab
    finally:
        await lab.stop()


@contextlib.asynccontextmanager
async def api_client(lab: Lab, *, as_root: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """Open a plain HTTP client with a token of the lab, pinned to its certificate."""
    token = (lab.root_token_id, lab.root_token_secret) if as_root else (lab.token_id, lab.token_secret)
    headers = {"Authorization": f"PVEAPIToken={token[0]}={token[1]}"}
    async with http_client(
        base_url=f"{lab.endpoint}/api2/json", headers=headers, verify=trust(lab), timeout=60
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def root_client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    """Open a plain HTTP client that is logged in as root with the password."""
    base = f"{lab.endpoint}/api2/json"
    async with http_client(base_url=base, verify=trust(lab), timeout=60) as client:
        login = {"username": "root@pam", "password": lab.root_password}
        ticket = (await client.post("/access/ticket", data=login)).json()["data"]
        client.cookies.set("PVEAuthCookie", ticket["ticket"])
        client.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        yield client


@contextlib.asynccontextmanager
async def ssh_client(lab: Lab) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Open an SSH connection as root, with the host key checked."""
    known_hosts = asyncssh.import_known_hosts(f"[127.0.0.1]:{lab.ssh_port} {lab.ssh_host_key}\n")
    async with asyncssh.connect(
        "127.0.0.1",
        lab.ssh_port,
        username="root",
        client_keys=[asyncssh.import_private_key(lab.ssh_private_key)],
        known_hosts=known_hosts,
        config=None,
    ) as connection:
        yield connection


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = TASK_SECONDS) -> None:
    """Wait until something holds."""
    await waiting.until(holds, within_seconds=seconds)


async def ended(client: httpx.AsyncClient, upid: str) -> str:
    """Wait for a task's end; give its exit status."""
    path = f"/nodes/{upid.split(':')[1]}/tasks/{upid}/status"
    async with asyncio.timeout(TASK_SECONDS):
        while True:
            task = (await client.get(path)).json()["data"]
            if task["status"] == "stopped":
                return str(task["exitstatus"])
            await asyncio.sleep(0.02)


async def template_of(client: httpx.AsyncClient, lab: Lab) -> str:
    """Return an OS template that the lab has."""
    content = (await client.get(f"/nodes/{lab.name}/storage/local/content?content=vztmpl")).json()["data"]
    return str(content[0]["volid"])


async def new_container(client: httpx.AsyncClient, lab: Lab, vmid: int = 100, **options: Any) -> int:
    """Create a container and wait until it is there."""
    defaults = {
        "vmid": vmid,
        "ostemplate": await template_of(client, lab),
        "storage": "local",
        "features": "nesting=1",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
    }
    answer = await client.post(f"/nodes/{lab.name}/lxc", data=defaults | options)
    assert answer.status_code == 200, (answer.reason_phrase, answer.text)
    status = await ended(client, answer.json()["data"])
    assert status == "OK" or status.startswith("WARNINGS"), status
    return vmid


async def started(client: httpx.AsyncClient, lab: Lab, vmid: int = 100, **options: Any) -> int:
    """Create a container and start it."""
    await new_container(client, lab, vmid, **options)
    upid = (await client.post(f"/nodes/{lab.name}/lxc/{vmid}/status/start")).json()["data"]
    assert await ended(client, upid) == "OK"
    return vmid


def trust(lab: Lab) -> ssl.SSLContext:
    """Trust the lab's certificate and nothing else."""
    return ssl.create_default_context(cafile=lab.secret_files()["certificate_file"])


async def guests_named(endpoint: dict[str, str], name: str) -> int:
    """Count the guests of a name that a lab of another process has; `endpoint` as in `endpoints.json`."""
    secret = Path(endpoint["token_secret_file"]).read_text().strip()
    headers = {"Authorization": f"PVEAPIToken={endpoint['token_id']}={secret}"}
    # The certificate is the lab's own, and nothing secret is asked.
    async with http_client(verify=False, headers=headers, timeout=60) as client:
        guests = (await client.get(f"{endpoint['endpoint']}/api2/json/nodes/lab/lxc")).json()["data"]
    return sum(each["name"] == name for each in guests)


async def most_tasks(endpoint: dict[str, str], kind: str, until: asyncio.Event) -> int:
    """Watch a lab of another process: how many tasks of a kind (`vzstart`) it ran at a time, at most."""
    secret = Path(endpoint["token_secret_file"]).read_text().strip()
    headers = {"Authorization": f"PVEAPIToken={endpoint['token_id']}={secret}"}
    path = f"{endpoint['endpoint']}/api2/json/nodes/lab/tasks"
    most = 0
    # The certificate is the lab's own, and nothing secret is asked.
    async with http_client(verify=False, headers=headers, timeout=60) as client:
        while not until.is_set():
            query = {"source": "active", "typefilter": kind, "limit": "500"}
            running = (await client.get(path, params=query)).json()["data"]
            most = max(most, len(running))
            await asyncio.sleep(0.05)
    return most


@contextlib.asynccontextmanager
async def lab_of(data: Path) -> AsyncIterator["LabClient"]:
    """Open a plain HTTP client as root to the lab of a running stack; paths are below `/api2/json`."""
    access = json.loads((data / "lab" / "lab.json").read_text())
    secret = Path(access["root_token_secret_file"]).read_text().strip()
    async with LabClient(
        control=access.get("control_endpoint", ""),  # a lab of an older build has none
        base_url=f"{access['endpoint']}/api2/json",
        headers={"Authorization": f"PVEAPIToken={access['root_token_id']}={secret}"},
        verify=ssl.create_default_context(cafile=access["certificate_file"]),
        timeout=30,
        trust_env=False,
        limits=LIMITS,
    ) as client:
        yield client


class LabClient(httpx.AsyncClient):
    """A client of a lab of another process, which knows where faults are ordered."""

    def __init__(self, *, control: str, **options: Any) -> None:
        super().__init__(**options)
        self.orders = f"{control}/lab/faults"


async def ordered(client: httpx.AsyncClient, fault: Fault) -> None:
    """Order a fault of a lab of another process, as root; also while its APIs are frozen."""
    answer = await client.post(_orders(client), content=fault.model_dump_json())
    assert answer.is_success, answer.text


async def cleared(client: httpx.AsyncClient) -> None:
    """Take back all orders of a lab of another process."""
    answer = await client.delete(_orders(client))
    assert answer.is_success, answer.text


def _orders(client: httpx.AsyncClient) -> httpx.URL | str:
    """Where a lab takes orders: at its control endpoint, which is never frozen, if the client knows it."""
    return client.orders if isinstance(client, LabClient) else client.base_url.copy_with(path="/lab/faults")


async def homes_of(client: httpx.AsyncClient, vmid: int) -> list[tuple[str, str]]:
    """Ask every node of a lab for a VMID: those that have it, and what it does there."""
    nodes = (await client.get("/nodes")).json()["data"]
    homes = []
    for node in sorted(each["node"] for each in nodes):
        rows = (await client.get(f"/nodes/{node}/lxc")).json()["data"]
        homes += [(node, row["status"]) for row in rows if row["vmid"] == vmid]
    return homes


async def tasks_on(client: httpx.AsyncClient, node: str, kind: str, **query: str) -> list[dict[str, Any]]:
    """List a node's tasks of a kind, running ones too."""
    params = {"source": "all", "typefilter": kind, "limit": "0", **query}
    rows: list[dict[str, Any]] = (await client.get(f"/nodes/{node}/tasks", params=params)).json()["data"]
    return rows
