"""`slipway installation`: whether Slipway is paused, and going on after a restore."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from slipway.cli.confirmation import agreed
from slipway.cli.errors import WrongInput
from slipway.cli.formats import print_document, print_table
from slipway.cli.session import PlanOption, Session, command
from slipway.cli.terminal import say

MOST_VMIDS = 20
"""Of those that nothing is stored about, how many are printed for a cluster."""
KeepOption = Annotated[
    list[str] | None, typer.Option("--keep", metavar="JOB", help="let this job run; may be repeated")
]
HashOption = Annotated[
    str | None,
    typer.Option("--hash", help="confirm the plan of this hash, instead of answering in a terminal"),
]
UnseenOption = Annotated[
    bool, typer.Option("--despite-unseen", help="go on though nothing is known of some clusters")
]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="this Slipway: paused or not, and going on"
)


@command(app, "show", "show which installation this is, and whether it is paused")
async def _show(session: Session) -> None:
    async with session.connect() as client:
        found = await client.get("/installation")
    session.print_one(found, [(name, value) for name, value in found.items() if value is not None], name="id")


@command(app, "resume", "let a paused Slipway act again, once the difference to Proxmox was seen")
async def _resume(
    session: Session,
    *,
    keep: KeepOption = None,
    plan: PlanOption = False,
    hash: HashOption = None,  # noqa: A002 - as the API calls it
    despite_unseen: UnseenOption = False,
) -> int:
    named = keep or []
    async with session.connect() as client:
        if hash is None:
            difference = await client.get("/installation/difference")
            if is_active(difference) and not session.form.is_whole:
                session.report("Slipway is active: there is nothing to resume.")
                return 0
            _print(session, difference, named)
            if plan or is_active(difference):
                return 0
            hash = _confirmed(difference)  # noqa: A001 - as above
            if hash is None:
                return 1
        body = {"hash": hash, "keep": named, "despite_unseen": despite_unseen}
        resumed = await client.post("/installation/resume", body)
    session.report(f"Slipway is {resumed['state']} again.")
    return 0


def is_active(difference: Mapping[str, Any]) -> bool:
    """Return whether Slipway acts already."""
    return bool(difference["installation"]["state"] == "active")


def _confirmed(difference: Mapping[str, Any]) -> str | None:
    """Return the hash of the plan if somebody agrees to it.

    Raises:
        WrongInput: if there is no terminal to ask in.
    """
    if not sys.stdin.isatty():
        raise WrongInput(
            "there is no terminal to ask in, so nothing was done: confirm this very plan with "
            f"--hash {difference['hash']}"
        )
    agrees = agreed("Go on like this? [y/N] ", default=False)
    return str(difference["hash"]) if agrees else None


def _print(session: Session, difference: Mapping[str, Any], keep: Sequence[str]) -> None:
    if session.form.is_whole:
        print_document(difference, session.form)
        return
    installation = difference["installation"]
    say(f"Slipway is {installation['state']}: {installation['reason']}")
    for cluster in difference["unseen_clusters"]:
        say(f"UNSEEN: cluster {cluster} was not reached since then; nothing is known of it.")
    _print_containers(difference)
    jobs = difference["jobs"]
    say(f"\n{len(jobs)} jobs have not ended:" if jobs else "\nNo job waits or runs.")
    if jobs:
        columns = ("id", "kind", "hostname", "state", "actor")
        rows = [[*(job[name] for name in columns), _age(job), _fate(job, keep)] for job in jobs]
        print_table((*columns, "accepted", "after a resume"), rows)
    say(f"Hash of this plan: {difference['hash']}")


def _print_containers(difference: Mapping[str, Any]) -> None:
    if gone := difference["missing"]:
        say(f"\n{len(gone)} containers are stored here and are not on Proxmox:")
        columns = ("vmid", "hostname", "cluster")
        print_table(columns, [[each[name] for name in columns] for each in gone])
    if changed := difference["changed"]:
        say(f"\n{len(changed)} containers are otherwise than they were stored:")
        columns = ("vmid", "hostname", "cluster")
        rows = [[*(each[name] for name in columns), _change(each)] for each in changed]
        print_table((*columns, "what"), rows)
    for others in difference["unknown"]:
        vmids = others["vmids"]
        more = f" and {len(vmids) - MOST_VMIDS} more" if len(vmids) > MOST_VMIDS else ""
        shown = ", ".join(map(str, vmids[:MOST_VMIDS]))
        say(
            f"\nOn cluster {others['cluster']}, but not known here (made later, or never ours): {shown}{more}"
        )


def _change(container: Mapping[str, Any]) -> str:
    pairs = (("power", "power_before", "power"), ("node", "node_before", "node"))
    changes = [
        f"{name} {container[before]} -> {container[now]}"
        for name, before, now in pairs
        if container[before] != container[now]
    ]
    return ", ".join([*changes, *(["other config"] if container["has_other_config"] else [])])


def _age(job: Mapping[str, Any]) -> str:
    return f"{datetime.fromisoformat(job['created_at']):%Y-%m-%d %H:%M}"


def _fate(job: Mapping[str, Any], keep: Sequence[str]) -> str:
    if job["id"] not in keep:
        return "cancelled, no host is touched"
    return "RUNS, AND DESTROYS" if job["destroys"] else "runs"
