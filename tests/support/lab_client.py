"""Our own client against the lab: access, and what tests begin with."""

import asyncio
from datetime import timedelta

from pydantic import SecretStr

from slipway.lab.node import Lab
from slipway.proxmox import tasks
from slipway.proxmox.access import ApiAccess, ClusterAccess, NodeAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.requesting import upid_of
from slipway.proxmox.task_answers import LogLine
from slipway.proxmox.upid import Upid

LIMIT = timedelta(seconds=60)
NODE = "lab"


def access_to(lab: Lab) -> ClusterAccess:
    """The lab with its least-privileged token, and root's SSH key."""
    node = NodeAccess(
        name=NODE,
        address="127.0.0.1",
        port=lab.ssh_port,
        private_key=SecretStr(lab.ssh_private_key),
        host_key=lab.ssh_host_key,
    )
    api = ApiAccess(
        endpoint=lab.endpoint,
        token_id=lab.token_id,
        token_secret=SecretStr(lab.token_secret),
        tls_fingerprint=lab.fingerprint,
    )
    return ClusterAccess(api=api, nodes={NODE: node})


async def create(cluster: Cluster, vmid: int = 100, **beside: str | int) -> list[str]:
    """A container from the first template there is; returns the task's log."""
    log: list[str] = []

    async def keep(line: LogLine) -> None:
        log.append(line.text)

    template = (await cluster.api.content(NODE, "local", kind="vztmpl"))[0].volid
    params: dict[str, str | int] = {
        "vmid": vmid,
        "ostemplate": template,
        "hostname": "web",
        "unprivileged": 1,
        "features": "nesting=1",
        "rootfs": "local:1",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
        **beside,
    }
    await tasks.wait(cluster.api, await cluster.api.create(NODE, params), deadline=LIMIT, on_log=keep)
    return log


async def start(cluster: Cluster, vmid: int = 100) -> None:
    """Start it and wait until it has booted: before that even /tmp may go away under a command."""
    await tasks.wait(cluster.api, await cluster.api.start(NODE, vmid), deadline=LIMIT)
    async with asyncio.timeout(LIMIT.total_seconds()):
        while True:
            result = await cluster.pct(NODE).execute(vmid, ["systemctl", "is-system-running"], timeout=LIMIT)
            if result.stdout.strip() in {"running", "degraded"}:
                return
            await asyncio.sleep(0.1)


async def begin(api: ProxmoxApi, method: str, *path: str, **params: str | int) -> Upid:
    """Begin a task that our client has no method for."""
    return upid_of(await api.connection.request(method, *path, params=params))


async def done(api: ProxmoxApi, upid: Upid | None) -> list[str]:
    """Wait until a task has ended well; give its log."""
    assert upid is not None
    log: list[str] = []

    async def keep(line: LogLine) -> None:
        log.append(line.text)

    await tasks.wait(api, upid, deadline=LIMIT, on_log=keep)
    return log


async def failed_log(api: ProxmoxApi, upid: Upid) -> list[str]:
    """Return the log of a task that has ended."""
    return [line.text for line in await api.task_log(upid)]
