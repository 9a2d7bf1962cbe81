"""Containers by what people call them: id, hostname or VMID."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from slipway.cli.errors import CommandFailed
from slipway.client.endpoints import find_endpoint
from slipway.client.transport import Transport

_COMPLETION_SECONDS = 2.0
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,126}")


async def container_id(client: Transport, name: str) -> str:
    """Return the id of the container with this id, hostname or VMID; the name itself if there is none.

    Raises:
        CommandFailed: if more than one fits, or none that the name could be the id of.
    """
    if not name:
        raise CommandFailed("The container's name is empty. `slipway ls` lists the containers.")
    items = [item for item in await client.items("/containers", q=_quoted(name)) if name in _names(item)]
    if len(items) > 1:
        each = (
            f"{item['id']} is {item['hostname']} ({item['vmid']}, cluster {item['cluster']})"
            for item in items
        )
        raise CommandFailed(f"{name!r} is several containers. Name one by its id: {'; '.join(sorted(each))}.")
    if not items and not is_id(name):
        raise CommandFailed(f"There is no container {name!r}. `slipway ls` lists the containers.")
    return str(items[0]["id"]) if items else name


def is_id(text: str) -> bool:
    """Return whether a text could be the id of a container or a job."""
    return bool(_ID.fullmatch(text))


def with_own_names(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return containers with the id as hostname where a command could not tell which one is meant."""
    times = Counter(name for item in items for name in _names(item))
    return [{**item, "hostname": item["id" if times[item["hostname"]] > 1 else "hostname"]} for item in items]


async def short_name(client: Transport, container: Mapping[str, Any]) -> str:
    """Return the hostname of a container, or its id where another one has the same hostname."""
    items = await client.items("/containers", q=_quoted(container["hostname"]))
    has_twin = sum(item["hostname"] == container["hostname"] for item in items) > 1
    return str(container["id" if has_twin else "hostname"])


def _quoted(name: str) -> str:
    """Return a name as a search for just that text."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _names(container: Mapping[str, Any]) -> set[str]:
    return {str(container[field]) for field in ("id", "hostname", "vmid")}


def _completions(context: typer.Context, incomplete: str) -> list[str]:
    """Return the hostnames that begin with what is typed; none if the server does not answer at once."""

    async def hostnames() -> list[str]:
        async with (
            asyncio.timeout(_COMPLETION_SECONDS),
            Transport(*find_endpoint(context.params.get("data"))) as c,
        ):
            return [item["hostname"] for item in await c.items("/containers")]

    try:
        return [name for name in asyncio.run(hostnames()) if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes has nowhere to show an error
        return []


ContainerArgument = Annotated[
    str, typer.Argument(help="id, hostname or VMID", autocompletion=_completions, show_default=False)
]
