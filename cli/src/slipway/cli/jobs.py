"""`slipway job`: list, show, follow, cancel and retry jobs; `run` does the same with many containers."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from slipway.cli.changes import options_of, read_argument
from slipway.cli.confirmation import destroys, is_confirmed
from slipway.cli.errors import CommandFailed, WrongInput
from slipway.cli.formats import Format
from slipway.cli.lookup import is_id
from slipway.cli.plans import print_plan
from slipway.cli.session import (
    DataOption,
    FollowOption,
    FormatOption,
    PlanOption,
    Session,
    YesOption,
    command,
    runner,
)

COLUMNS = ("kind", "hostname", "state", "phase", "percent", "created_at", "id")
WIDE = ("cluster", "actor", "vmid", "step", "started_at", "finished_at", "container")


def _job_id(text: str) -> str:
    """Return a job's id; raise `CommandFailed` if it can't be one."""
    if not is_id(text):
        raise CommandFailed(f"There is no job {text!r}. `slipway jobs` lists the jobs with their ids.")
    return text


JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="the job's id", show_default=False, callback=_job_id)
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="how many")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="an argument")]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="list, follow, cancel and retry jobs")
plural = typer.Typer(rich_markup_mode=None)


async def _print_jobs(session: Session, *, limit: LimitOption = 100) -> None:
    async with session.connect() as client:
        items = await client.items("/jobs", limit)
    # Hostnames repeat from cluster to cluster.
    are_several = len({item["cluster"] for item in items} - {None}) > 1
    columns, wide = (("cluster", *COLUMNS), WIDE[1:]) if are_several else (COLUMNS, WIDE)
    session.print_list(items, columns, name="id", wide=wide)


for group in (app, plural):
    command(group, "list", "list jobs, newest first")(_print_jobs)


@plural.callback(
    invoke_without_command=True, help="list jobs, newest first; `jobs run` does the same with many containers"
)
def _list_unless_verb(
    context: typer.Context,
    *,
    limit: LimitOption = 100,
    data: DataOption = None,
    output: FormatOption = Format.TABLE,
) -> int | None:
    if context.invoked_subcommand is None:
        return runner(_print_jobs)(limit=limit, data=data, output=output)
    # `slipway jobs --data DIR run ...` names the server for the verb.
    context.default_map = {context.invoked_subcommand: {"data": data}}
    return None


@command(app, "show", "show a job: its steps, what came of them, and what can be done now")
async def _show(session: Session, job: JobArgument) -> None:
    async with session.connect() as client:
        item = await client.get(f"/jobs/{job}")
    fields = ("id", "kind", "hostname", "vmid", "cluster", "actor", "state", "phase", "percent", "waits_for")
    rows: list[tuple[str, object]] = [(field, item.get(field)) for field in fields]
    rows += [(f"step {step['name']}", step["status"]) for step in item["steps"]]
    rows += [("warning", warning) for warning in item["warnings"]]
    if error := item.get("error"):
        rows.append(("error", f"{error['message']} ({error['code']})"))
    rows.append(("possible now", ", ".join(item["actions"])))
    session.print_one(item, rows, name="id")


@command(app, "logs", "show a job's log from its start, to its end")
async def _logs(session: Session, job: JobArgument) -> int:
    async with session.connect() as client:
        return 0 if await session.follow_to_result(client, job) else 1


@command(app, "cancel", "cancel a job that waits or runs")
async def _cancel(
    session: Session,
    job: JobArgument,
    *,
    destroy: Annotated[
        bool, typer.Option("--destroy", help="of a creation or a copy: also remove what it has made")
    ] = False,
    plan: PlanOption = False,
    yes: YesOption = False,
) -> int:
    async with session.connect() as client:
        query = {"destroy": "true"} if destroy else {}
        request = partial(client.post, f"/jobs/{job}/cancel", None, **query)
        if plan:
            return print_plan(session, await request(plan="true"))
        what = f"cancel of {job} with what it has made"
        if destroy and not await is_confirmed(what, yes=yes, plan=partial(request, plan="true")):
            return 1
        await request()
        await session.follow(client, job)
        return 0 if (await client.get(f"/jobs/{job}"))["state"] == "cancelled" else 1


@command(app, "retry", "run a failed job again, from where it failed")
async def _retry(
    session: Session,
    job: JobArgument,
    *,
    phase: Annotated[
        str | None, typer.Option("--phase", metavar="PHASE", help="of a creation: begin there")
    ] = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    follow: FollowOption = True,
) -> int:
    # Only a retry needs it.
    from slipway.contracts.values import Phase

    if phase is not None and phase not in set(Phase):
        raise WrongInput(f"--phase {phase}: there is no such phase. It is one of {', '.join(Phase)}.")
    path, body = f"/jobs/{job}/retry", {"phase": phase} if phase else {}
    async with session.connect() as client:
        item = await client.get(f"/jobs/{job}")
        kind = item.get("items_kind") or item["kind"]
        if plan:
            return print_plan(session, await client.post(path, body, plan="true"))
        if destroys(kind):
            planned = await client.post(path, body, plan="true")
            if not await _is_confirmed(session, planned, f"retry of {kind}", yes=yes):
                return 1
            body |= {"plan": planned["hash"]} if "items" in planned else {}
        return await session.finish(client, await client.post(path, body), follow=follow)


async def _run(
    session: Session,
    kind: Annotated[str, typer.Argument(help="a verb, like start or delete", show_default=False)],
    selection: Annotated[
        list[str],
        typer.Argument(help="a search like 101,105-110,tag:prod node:pve1,name:web-*", show_default=False),
    ],
    *,
    set_: SetOption = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    follow: FollowOption = True,
) -> int:
    # As lists of jobs show it, or the verb alone.
    kind = kind.removeprefix("container.")
    body: dict[str, Any] = {
        "kind": f"container.{kind}",
        "selection": " ".join(selection),
        "args": _arguments(kind, set_ or []),
    }
    async with session.connect() as client:
        if plan:
            return print_plan(session, await client.post("/jobs", body, plan="true"))
        if destroys(kind):
            planned = await client.post("/jobs", body, plan="true")
            if not await _is_confirmed(session, planned, f"{kind} of {len(planned['items'])}", yes=yes):
                return 1
            body["plan"] = planned["hash"]
        accepted = await client.post("/jobs", body)
        counts = accepted["counts"]
        session.report(
            f"{counts['total']} containers, {counts['failed']} not accepted: job {accepted['job']['id']}"
        )
        return await session.finish(client, accepted, follow=follow)


for group in (app, plural):
    command(group, "run", "do the same with many containers")(_run)


async def _is_confirmed(session: Session, plan: Mapping[str, Any], what: str, *, yes: bool) -> bool:
    """Print the plan of something that destroys, and ask; with `--yes` neither."""
    if not yes:
        print_plan(session, plan)
    return await is_confirmed(what, yes=yes)


def _arguments(kind: str, assignments: list[str]) -> Mapping[str, Any]:
    """Read each `NAME=VALUE` as the verb of this kind does."""
    options = options_of(kind)
    arguments: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise WrongInput(f"--set {assignment}: it must be NAME=VALUE")
        arguments[name] = read_argument(options[name], value) if name in options else value
    return arguments
