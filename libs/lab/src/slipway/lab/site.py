"""The nodes of a lab: their names and folders, and what each is made of.

The first node's folder is the lab's own, so that a lab of one node needs nothing else; the others live below
`nodes/`, what all see is in `shared/`. Their number is settled when the folder is new: whoever has
added the cluster knows their SSH keys. All nodes have one backend for their guests, and so one
machine's memory and bridges.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from slipway.lab.faults.standing import Faults
from slipway.lab.guests.protocol import Guests
from slipway.lab.host import records
from slipway.lab.host.certificates import Certificates
from slipway.lab.host.condition import Condition
from slipway.lab.host.configs import Configs
from slipway.lab.host.machine import Machine
from slipway.lab.host.pools import Pools
from slipway.lab.host.storages import Storage, Storages, Volumes, of_cluster
from slipway.lab.host.tasks import Tasks
from slipway.lab.settings import Timings

LOOPBACK = "127.0.0.1"
FOLDERS = ("containers", "tasks", "templates", "host")


async def build(
    names: Sequence[str],
    stack: contextlib.AsyncExitStack,
    *,
    data: Path,
    address: str,
    certificates: Callable[[str], Certificates],
    timings: Timings,
    faults: Faults,
    guests: Guests,
    storages: Sequence[Storage] | None,
) -> dict[str, Machine]:
    """Put the nodes together, with the usual storages if none are given; their tasks end with the stack."""
    pools = Pools(data / "pools.json")
    shared = Volumes(data / "shared" / "volumes.json")
    templates = await guests.templates()
    members: dict[str, Machine] = {}
    neighbours: list[Machine] = []
    for name in names:
        folder = data if name == names[0] else data / "nodes" / name
        for part in FOLDERS:
            (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        condition = Condition(first_name=name, faults=faults, timings=timings)
        members[name] = machine = Machine(
            condition=condition,
            address=address_of(name, names, address),
            folder=folder,
            shared_folder=data / "shared",
            certificates=certificates(name),
            timings=timings,
            guests=guests,
            faults=faults,
            configs=Configs(folder / "containers", condition),
            storages=Storages(folder, condition, of_cluster(names) if storages is None else storages, shared),
            pools=pools,
            tasks=Tasks(folder / "tasks", condition),
            neighbours=neighbours,
        )
        neighbours.append(machine)
        machine.storages.load(templates)
        machine.configs.load()
        machine.tasks.load()
        stack.push_async_callback(machine.tasks.close)
    return members


def address_of(name: str, names: Sequence[str], address: str) -> str:
    """Return a node's own address: on loopback each has one, as on a network, else they share one."""
    at = names.index(name)
    return f"127.0.0.{at + 1}" if address == LOOPBACK else address


class OtherNodes(Exception):
    """A lab has another number of nodes than is asked for."""


def node_names(data: Path, name: str | None, count: int | None) -> tuple[str, ...]:
    """Name the nodes: as before, else `pve1`, `pve2` and so on; a lone one is `lab`. `name` is for the first.

    Raises:
        OtherNodes: if there were more or fewer; None takes as many as there were, or one.
    """
    path = data / "nodes.json"
    before: list[str] = records.read_json(path) or (["lab"] if (data / "containers").exists() else [])
    if before and count not in (None, len(before)):
        raise OtherNodes(
            f"The lab in {data} has {len(before)} nodes and not {count}: their number is settled when "
            "it starts for the first time. Leave --nodes out, or take another folder."
        )
    fresh = ["lab"] if count in (None, 1) else [f"pve{number}" for number in range(1, (count or 1) + 1)]
    names = before or fresh
    names = [name or names[0], *names[1:]]
    records.write_json(path, names)
    return tuple(names)


async def take_port(
    path: Path, address: str, wanted: int, listen: Callable[[str, int], Awaitable[int]], likely: int = 0
) -> int:
    """Listen at the wanted port, else at the one in the file or a likely one if it is free, else at any.

    The port is written into the file.
    """
    try:
        port = await listen(address, wanted or records.read_json(path) or likely)
    except OSError:
        if wanted:
            raise
        port = await listen(address, 0)
    records.write_json(path, port)
    return port


def suffix(name: str, names: Sequence[str]) -> str:
    """Return what tells a node's files from the others'; nothing for the first node."""
    return "" if name == names[0] else f"-{re.sub(r'[^A-Za-z0-9-]', '-', name)}"
