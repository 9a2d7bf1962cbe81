"""`slipway cluster script`: what makes Slipway's access on a node, for a person who runs it there.

What it prints there is read here as well; if that is refused, the access is on the node all the same.
"""

import base64
import gzip
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
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
from slipway.cli.errors import CommandFailed, WrongInput, explanation
from slipway.cli.formats import print_document
from slipway.cli.questions import has_terminal
from slipway.cli.session import Session, command
from slipway.cli.terminal import put, say, warn

_TOKEN = re.compile(r"slipway-([a-z0-9]+)@pve!main")


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


def read_printed(file: str) -> dict[str, Any]:
    """Read what the token script printed, without what a login shell printed before it."""
    if file == "-" and has_terminal():
        warn("Paste what the script printed, and end with Ctrl-D:")
    where = "Standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        _, opening, rest = f"\n{text}".partition("\n{")
        body: dict[str, Any] = json.loads(f"{opening}{rest}") if opening else {}
    except ValueError as error:
        raise WrongInput(
            f"{where} is not what the token script prints, a request that begins with {{: {error}. "
            "`slipway cluster script` shows how it is run."
        ) from None
    if not text.strip():
        raise WrongInput(
            f"{where} is empty: nothing came in, so the script has not run to its end on the node. The lines "
            "above say why; `slipway cluster script` shows how it is run."
        )
    if not opening:
        raise WrongInput(
            f"{where} is not what the token script prints, a request that begins with {{ on a line of its "
            "own. `slipway cluster script` shows how it is run."
        )
    return body


def require_fields(body: Mapping[str, Any], file: str) -> None:
    """Raise `WrongInput` if a cluster's description lacks what the token script always prints."""
    if missing := [field for field in ("name", "endpoint") if not body.get(field)]:
        where = "Standard input" if file == "-" else file
        options = " and ".join(f"--{field}" for field in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise WrongInput(
            f"{where} is not all of what the token script prints: {' and '.join(missing)} {verb} missing. "
            f"Give the whole output, or {options}."
        )


def made_id(token: str | None) -> str | None:
    """Return the id under which the token script made a token; None: it did not make it."""
    match = _TOKEN.fullmatch(token or "")
    return match[1] if match else None


@contextmanager
def left_on_node(body: Mapping[str, Any], file: str | None) -> Iterator[None]:
    """Add to a failure what the token script has made nevertheless, and how to go on or take it away.

    Args:
        body: the request that is sent.
        file: where it was read; None if the script did not print it.
    """
    try:
        yield
    except Exception as error:
        made, message = made_id(str(body.get("token_id"))), explanation(error)
        if file is None or made is None or message is None:
            raise
        options = "--endpoint https://ADDRESS:8006 --port 22"
        again = f"slipway cluster add {shlex.quote(file)} {options}"
        if file == "-":
            script = ["slipway", "cluster", "script", "--id", made, "--name", str(body["name"])]
            script += ["--tier", str(body["tier"])] if body.get("tier") else []
            again = f"{shlex.join(script)} | ssh root@NODE sh -s | {again}"
        lines = (
            message.removeprefix("slipway: "),
            f"User, token and SSH key with the id {made} are on the node all the same.",
            f"To try again, with the limits as before and another address or port if need be: {again}",
            f"To remove them: slipway cluster script --remove {made} | ssh root@NODE sh -s",
        )
        raise CommandFailed("\n".join(lines)) from error


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
