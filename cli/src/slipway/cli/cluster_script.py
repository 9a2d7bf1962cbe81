"""`slipway cluster script`: what makes Slipway's access on a node, for a person who runs it there."""

import base64
import gzip
import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from slipway.cli.cluster_options import (
    DevicesOption,
    MountsOption,
    NameOption,
    PoolOption,
    TierOption,
    VmidsOption,
)
from slipway.cli.clusters import app
from slipway.cli.formats import print_document
from slipway.cli.session import Session, command
from slipway.cli.terminal import put, say, warn


@command(app, "script", "print the script that makes Slipway's access on a node, and what it will make")
async def _script(
    session: Session,
    *,
    name: NameOption = "home",
    access_id: Annotated[str | None, typer.Option("--id", help="make anew what has this id")] = None,
    address: Annotated[str, typer.Option("--address", help="the node's, if not its first one")] = "",
    tier: TierOption = "full",
    vmids: VmidsOption = "",
    pool: PoolOption = "",
    mounts: MountsOption = "",
    devices: DevicesOption = "",
    remove: Annotated[str | None, typer.Option("--remove", help="take away what has this id")] = None,
    paste: Annotated[bool, typer.Option("--paste", help="print one line to paste on the node")] = False,
) -> None:
    bounds = {"vmids": vmids, "pool": pool, "mounts": mounts, "devices": devices}
    body = {"name": name, "id": remove or access_id, "address": address, "tier": tier, "bounds": bounds}
    async with session.connect() as client:
        made = await client.post("/clusters/script", {**body, "is_removal": remove is not None})
    if session.form.is_whole:
        print_document(made, session.form)
        return
    _explain(made, is_removal=remove is not None)
    if paste:
        packed = base64.b64encode(gzip.compress(made["script"].encode(), mtime=0)).decode()
        say(f"echo {packed} | base64 -d | gunzip | sh -s")
    elif sys.stdout.isatty():
        say(_pipeline(remove))
    else:
        put(made["script"])


def _explain(made: Mapping[str, Any], *, is_removal: bool) -> None:
    """Say beside the output what a script will do."""
    if is_removal:
        warn(f"It takes away what was made under the id {made['id']}: user, token, roles and SSH key.")
        return
    warn(f"Run on one node as root, it makes, under the id {made['id']} and for this Slipway alone:")
    for sentence in made["makes"]:
        warn(f"  - {sentence}")


def _pipeline(remove: str | None) -> str:
    """Return the line that runs the script on a node, with the same options as this command."""
    again = shlex.join(["slipway", *sys.argv[1:]])
    line = f"{again} | ssh root@NODE sh -s"
    return line if remove else f"{line} | slipway cluster add -"
