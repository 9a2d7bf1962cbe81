"""Take what is Slipway's away from one Proxmox cluster; its guests run on.

First its mark in the guests' notes, for which the token is needed; then, by the token script's own `remove`,
the user with its token and rights, the roles, and the SSH key. Idempotent: what is gone is passed over.
"""

import asyncio
import shlex
from dataclasses import dataclass, field
from datetime import timedelta

from slipway.cli.clusters import port_option
from slipway.contracts.problems import SlipwayError
from slipway.proxmox.answers import ResourceGuest
from slipway.proxmox.host_config import MARK, without_mark
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.ssh import NodeShell, Stream
from slipway.standalone.paths import own_script
from slipway.standalone.uninstall.stored_clusters import StoredCluster

SCRIPT_SECONDS = 60
MARKS_SECONDS = 600
"""For the notes of all guests of a cluster."""
_MOST_LINES = 3
"""Of what the script has said, in a report."""


@dataclass(slots=True)
class Left:
    """What came of it."""

    marks: int = 0
    """Guests whose notes had a mark."""
    problems: list[str] = field(default_factory=list)
    """What is still there, and why."""
    by_hand: str | None = None
    """The line that removes the access on a node; None if it is gone."""


async def leave(cluster: StoredCluster) -> Left:
    """Take all of it away; what could not be is said."""
    left = Left()
    if cluster.access is None:
        left.problems.append(
            "it was removed from Slipway, and with it the token and the key to get in there"
            if cluster.is_removed
            else "its stored access can't be opened: the key ring lacks the key"
        )
        left.by_hand = line_by_hand(cluster)
        return left
    host = Cluster(cluster.access)
    try:
        await _remove_marks(host, cluster, left)
        await _remove_access(host, cluster, left)
    finally:
        await host.aclose()
    return left


def line_by_hand(cluster: StoredCluster) -> str:
    """Return the one line that removes the access, to be run as somebody who may log in there as root."""
    if cluster.script_id is None:
        return f"(by hand: {cluster.token_id} was not made by Slipway's script)"
    remote = f"ID={cluster.script_id} sh -s remove"
    script = shlex.quote(str(own_script("make-token.sh")))
    return f"ssh {port_option(cluster.port)}root@{cluster.address} {shlex.quote(remote)} < {script}"


async def _remove_marks(host: Cluster, cluster: StoredCluster, left: Left) -> None:
    try:
        async with asyncio.timeout(MARKS_SECONDS):
            for guest in (await host.api.resources()).guests:
                if guest.type == "lxc":
                    await _remove_mark(host, cluster, guest, left)
    except TimeoutError:
        left.problems.append(f"not all notes could be read within {MARKS_SECONDS} s")
    except SlipwayError as error:
        left.problems.append(f"the guests can't be listed: {error}")


async def _remove_mark(host: Cluster, cluster: StoredCluster, guest: ResourceGuest, left: Left) -> None:
    try:
        config = await host.api.config(guest.node, guest.vmid)
        if not any(mark["cluster"] == cluster.id for mark in MARK.finditer(config.description)):
            return
        text = without_mark(config.description)
        changes = {"description": text} if text else {"delete": "description"}
        await host.api.set_config(guest.node, guest.vmid, changes, digest=config.digest)
    except SlipwayError as error:
        left.problems.append(f"the notes of guest {guest.vmid} still have the line `slipway: ...`: {error}")
        return
    left.marks += 1


async def _remove_access(host: Cluster, cluster: StoredCluster, left: Left) -> None:
    """Run the script on one node after the other until one has done it: users and keys are the cluster's."""
    left.by_hand = line_by_hand(cluster)
    if cluster.script_id is None:
        left.problems.append(f"{cluster.token_id} was not made by Slipway's script, and stays")
        return
    if not host.access.nodes:
        left.problems.append("Slipway has no SSH access to it")
        return
    for node in host.access.nodes:
        try:
            problem = await _run_script(host.shell(node), cluster.script_id)
        except SlipwayError as error:
            problem = str(error)
        if problem is None:
            left.by_hand = None
            return
        left.problems.append(f"node {node}: {problem}")


async def _run_script(shell: NodeShell, script_id: str) -> str | None:
    """Return why it has not done its work; None if it has."""
    said: list[str] = []

    async def note(_stream: Stream, line: bytes) -> None:
        said.append(line.decode(errors="replace").strip())
        del said[:-_MOST_LINES]

    code = await shell.stream(
        ["env", f"ID={script_id}", "sh", "-s", "remove"],
        stdin=own_script("make-token.sh").read_bytes(),
        timeout=timedelta(seconds=SCRIPT_SECONDS),
        on_line=note,
    )
    return None if code == 0 else f"the script ended with {code}: {'; '.join(said)}"
