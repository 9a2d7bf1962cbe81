"""Wait until a stack can be used: its services, the lab and its cluster, the templates.

Each is waited for with a deadline. That a process does not accept its settings, and so will never be ready,
is seen where it runs (`supervisor`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import httpx

from slipway.cli.terminal import say
from slipway.client.client import Client
from slipway.client.transport import ApiProblem, ApiUnreachable
from slipway.contracts.installation import InstallationState
from slipway.runtime.retry import Deadline
from slipway.standalone.folders import DataFolder
from slipway.standalone.forks import ProcessFailed
from slipway.standalone.lab import CLUSTER, RunningLab, read_lab

START_SECONDS = 90.0
POLL_SECONDS = 0.05


async def await_stack(*, data: str, url: str, services: Mapping[str, str], with_lab: bool) -> None:
    """Wait until everything can be used, and say what is.

    Args:
        data: the data folder.
        url: the gateway's.
        services: each service's URL, by name.
        with_lab: whether the lab's cluster is to be added.
    """
    folder = DataFolder(Path(data))
    await await_services(services.values())
    say(f"  the services run: {', '.join(services)}")
    async with Client(url, folder.bootstrap_token.read_text(encoding="utf-8").strip()) as client:
        if with_lab:
            lab = await _running_lab(folder.lab)
            await _add_cluster(client, lab)
            guests = "real LXC containers" if lab.endpoint["guests"] == "lxc" else "simulated"
            say(f"  the lab runs, a pretend Proxmox cluster; its containers are {guests}")
        await _until(lambda: _are_templates_served(client), "the templates")
        await _say_if_paused(client)


async def _say_if_paused(client: Client) -> None:
    """Say why Slipway is paused, if it is; that nobody answers is no reason not to start."""
    with contextlib.suppress(ApiProblem, ApiUnreachable):
        installation = await client.installation()
        if installation.state is InstallationState.PAUSED:
            say(f"  Slipway is PAUSED: {installation.reason} `slipway resume --plan` shows what is different")


async def await_services(urls: Collection[str]) -> None:
    """Wait until every service answers that it is ready."""

    async def are_ready() -> bool:
        try:
            responses = await asyncio.gather(*(http.get(f"{url}/readyz") for url in urls))
        except httpx.TransportError:
            return False
        return all(response.is_success for response in responses)

    async with httpx.AsyncClient(timeout=4.0, trust_env=False) as http:
        await _until(are_ready, "the services")


async def _add_cluster(client: Client, lab: RunningLab) -> None:
    """Add the lab's cluster over the API, and wait until containers can be created on it."""

    async def is_added() -> bool:
        try:
            if CLUSTER not in {cluster.name for cluster in await client.clusters()}:
                await client.add_cluster(**lab.access())
        except (ApiProblem, ApiUnreachable) as error:
            if isinstance(error, ApiProblem) and error.is_final:
                raise ProcessFailed(f"the lab's cluster can't be added: {error}") from error
            say(f"  the lab's cluster can't be added yet: {error}")
            return False
        return True

    await _until(is_added, "the lab's cluster")
    await _until(lambda: is_usable(client, lab), "the lab's nodes")


async def is_usable(client: Client, lab: RunningLab) -> bool:
    """Whether containers could be created on the lab now: its nodes are online and reached by SSH."""
    try:
        clusters = await client.clusters()
    except (ApiProblem, ApiUnreachable):
        return False
    nodes = [node for cluster in clusters if cluster.name == CLUSTER for node in cluster.nodes]
    return {node.node for node in nodes if node.is_online and node.is_ssh_usable} >= set(lab.content["nodes"])


async def _running_lab(folder: Path) -> RunningLab:
    """Wait until the lab says how it is reached."""

    async def is_ready() -> bool:
        return read_lab(folder) is not None

    await _until(is_ready, "the lab")
    if (lab := read_lab(folder)) is None:
        raise ProcessFailed("the lab is gone again; see the log")
    return lab


async def _are_templates_served(client: Client) -> bool:
    try:
        return bool(await client.templates())
    except (ApiProblem, ApiUnreachable):
        return False


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = Deadline(START_SECONDS)
    while not await condition():
        if deadline.has_passed:
            raise ProcessFailed(f"{what} did not get ready within {START_SECONDS:.0f} seconds; see the log")
        await asyncio.sleep(POLL_SECONDS)
