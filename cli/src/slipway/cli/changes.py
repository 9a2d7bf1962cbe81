"""The verbs that change a container that exists; each is a job, followed to its end."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from slipway.cli import confirming, planning
from slipway.cli.following import connect, follow_job
from slipway.client.api import ApiProblem, Client

NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb: what it is for, and the options it takes."""

    text: str
    options: Mapping[str, tuple[Callable[[str], object], str]] = field(default_factory=dict)
    """The job's argument to what reads it and what is told of it."""
    named: str | None = None
    """The argument that is given without a flag."""


class WrongArgument(Exception):
    """An argument can't be read; says which, and what it should be."""


def read_argument(name: str, kind: Callable[[str], object], value: str) -> object:
    """Read an argument as its verb does."""
    try:
        return kind(value)
    except argparse.ArgumentTypeError as error:
        raise WrongArgument(f"{name}: {error}") from error
    except ValueError as error:
        raise WrongArgument(f"{name}: {value!r} is no number") from error


def _yes(word: str) -> bool:
    if word not in {"yes", "no"}:
        raise argparse.ArgumentTypeError(f"{word!r} is neither yes nor no")
    return word == "yes"


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


_GRACE = {"grace_seconds": (int, "how long the guest may take; 30 unless said")}
_SNAPSHOT = "the snapshot's name"
VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "start": Verb(text="start a container"),
        "stop": Verb(text="stop a container at once"),
        "shutdown": Verb(text="shut a container down cleanly; stop it if it does not listen", options=_GRACE),
        "restart": Verb(text="reboot a container; start it if it is stopped", options=_GRACE),
        "resize": Verb(
            text="change cores, memory, swap, or grow the root disk",
            options={
                "cores": (int, "how many"),
                "memory": (int, "MiB"),
                "swap": (int, "MiB"),
                "disk": (float, "GiB; it only grows"),
            },
        ),
        "configure": Verb(
            text="change what can be set without a rebuild",
            options={
                "hostname": (str, "the new name"),
                "description": (str, "your part of the notes"),
                "tags": (_words, "with commas between; replaces all"),
                "onboot": (_yes, "yes or no: start with the node"),
                "startup": (str, "like order=1,up=30"),
                "nameserver": (str, "its DNS server; of a running one after its next restart, like the next"),
                "searchdomain": (str, "its DNS search domain"),
                "timezone": (str, "like Europe/Berlin, or host"),
                "cmode": (str, "tty, console or shell"),
                "console": (_yes, "yes or no: attach a console"),
                "tty": (int, "how many terminals"),
            },
        ),
        "revert": Verb(
            text="drop changes that wait for the next restart",
            options={"keys": (_words, "settings with commas between, like nameserver,tty; all unless said")},
        ),
        "snapshot": Verb(
            text="take a snapshot",
            options={"snapshot": (str, _SNAPSHOT), "description": (str, "what it is for")},
            named="snapshot",
        ),
        "rollback": Verb(
            text="go back to a snapshot; what came after it is lost",
            options={"snapshot": (str, _SNAPSHOT)},
            named="snapshot",
        ),
        "snapshot-delete": Verb(
            text="delete a snapshot", options={"snapshot": (str, _SNAPSHOT)}, named="snapshot"
        ),
        "backup": Verb(
            text="make a backup",
            options={
                "storage": (str, "where to; the first that keeps backups unless said"),
                "mode": (str, "snapshot, suspend or stop"),
                "description": (str, "what it is for"),
            },
        ),
        "restore": Verb(
            text="go back to a backup in place; what came after it is lost",
            options={"backup": (str, "the backup's volume")},
            named="backup",
        ),
        "clone": Verb(
            text="make a new container like this one",
            options={
                "hostname": (str, "the new container's"),
                "vmid": (int, "the new container's; chosen unless said"),
                "target_node": (str, "where it shall be"),
                "storage": (str, "for its disks"),
                "snapshot": (str, "copy this state"),
            },
            named="hostname",
        ),
        "unlock": Verb(
            text="take away a lock that a killed task has left; first see that nothing works on it"
        ),
        "migrate": Verb(
            text="move a container to another node; a running one is restarted",
            options={"target_node": (str, "where to")},
            named="target_node",
        ),
    }
)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add a command for each verb, and `cancel`."""
    for name, verb in VERBS.items():
        parser = commands.add_parser(name, help=verb.text)
        parser.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
        parser.add_argument("container", help="id, hostname or VMID")
        for option, (kind, text) in verb.options.items():
            if option == verb.named:
                parser.add_argument(option, type=kind, help=text)
            else:
                parser.add_argument(f"--{option.replace('_', '-')}", dest=option, type=kind, help=text)
        planning.add_to(parser)
        if confirming.destroys(name):
            confirming.add_to(parser)
        parser.set_defaults(act=_change, verb=name)
    parser = commands.add_parser("cancel", help="end a job that waits or runs")
    parser.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
    parser.add_argument("job")
    parser.add_argument(
        "--destroy", action="store_true", help="of a creation or a copy: also remove what it has made"
    )
    planning.add_to(parser)
    confirming.add_to(parser)
    parser.set_defaults(act=_cancel)


async def find_container(client: Client, word: str) -> str:
    """Give a container's id by its id, hostname or VMID.

    Raises:
        ApiProblem: if none fits, or more than one.
    """
    found = [each for each in await client.items("/containers", q=word) if word in _names(each)]
    if len(found) > 1:
        clusters = ", ".join(sorted(f"{each['cluster']}: {each['id']}" for each in found))
        message = f"{word!r} is several containers; give the id of one ({clusters})"
        raise ApiProblem(NOT_FOUND, {"code": "container.ambiguous", "message": message})
    return str(found[0]["id"]) if found else word


async def _change(given: argparse.Namespace) -> int:
    verb = VERBS[given.verb]
    body = {name: getattr(given, name) for name in verb.options if getattr(given, name) is not None}
    console = Console()
    async with connect(given) as client:
        path = f"/containers/{await find_container(client, given.container)}/{given.verb}"
        ask = partial(client.post, path, body)
        if given.plan:
            return planning.show_plan(console, await ask(plan="true"))
        what = f"{given.verb} of {given.container}"
        if confirming.destroys(given.verb) and not await confirming.is_confirmed(
            given, what, planning.shows_losses(console, ask)
        ):
            return 1
        return 0 if await follow_job(client, (await ask())["job"]["id"], console) else 1


async def _cancel(given: argparse.Namespace) -> int:
    console = Console()
    async with connect(given) as client:
        query = {"destroy": "true"} if given.destroy else {}
        ask = partial(client.post, f"/jobs/{given.job}/cancel", None, **query)
        if given.plan:
            return planning.show_plan(console, await ask(plan="true"))
        if given.destroy and not await confirming.is_confirmed(
            given, f"cancel of {given.job} with what it has made", planning.shows_losses(console, ask)
        ):
            return 1
        await ask()
        await follow_job(client, given.job, console)
        told = await client.get(f"/jobs/{given.job}")
        return 0 if told["state"] == "cancelled" else 1


def _names(container: Mapping[str, Any]) -> set[str]:
    return {str(container[name]) for name in ("id", "hostname", "vmid")}
