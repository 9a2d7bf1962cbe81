"""What every command has: a server, and a format of its output. `command` adds the options for both."""

import asyncio
import gc
import inspect
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli import terminal
from slipway.cli.formats import Format, print_document, print_table
from slipway.client.endpoints import find_endpoint
from slipway.client.sse import Outage
from slipway.client.transport import Transport

AWAY_SECONDS = 600.0
"""Longer than any restart; the job goes on without anyone who follows it."""
DataOption = Annotated[Path | None, typer.Option("--data", help="data folder of the `up` to talk to")]
FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="how the result is printed", show_default=True)
]
PlanOption = Annotated[bool, typer.Option("--plan", help="only print what would be done")]
YesOption = Annotated[
    bool,
    typer.Option("--yes", help="do not ask before something is destroyed; needed without a terminal"),
]
ConfirmSelfOption = Annotated[
    bool, typer.Option("--confirm-self", help="do it also to the container that Slipway itself runs in")
]
FollowOption = Annotated[
    bool, typer.Option("--follow/--no-follow", help="show the job to its end, or only start it")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One command's server and output."""

    data: Path | None
    form: Format

    def connect(self) -> Transport:
        """Return a connection to the server that `--data` or the environment names."""
        return Transport(*find_endpoint(self.data))

    def print_list(
        self,
        items: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        *,
        name: str,
        wide: Sequence[str] = (),
        cells: Callable[[Mapping[str, Any]], Mapping[str, object]] = dict,
    ) -> None:
        """Print a list: some columns of each item, or all that the API answered.

        `name` is the field that `-o name` prints, `wide` has the further columns of `-o wide`, and `cells`
        returns what a column shows where that differs from the item's field.
        """
        if self.form.is_whole:
            print_document({"items": list(items), "next": None}, self.form)
        elif self.form is Format.NAME:
            terminal.put("".join(f"{terminal.clean(str(item[name]))}\n" for item in items))
        else:
            shown = [*columns, *(wide if self.form is Format.WIDE else ())]
            if sys.stdout.isatty() and self.form is Format.TABLE and name != "id":
                # A terminal is narrow, and a person uses the name.
                shown = [column for column in shown if column != "id"]
            rows = [{**item, **cells(item)} for item in items]
            print_table(shown, [[row.get(column) for column in shown] for row in rows])

    def print_one(self, item: Mapping[str, Any], rows: Sequence[tuple[str, object]], *, name: str) -> None:
        """Print one thing: its rows, or all that the API answered."""
        if self.form.is_whole:
            print_document(item, self.form)
        elif self.form is Format.NAME:
            terminal.say(str(item[name]))
        else:
            print_table(("what", "value"), rows)

    def report(self, line: str) -> None:
        """Print a sentence about what was done; beside the output where a program reads that."""
        (terminal.say if self.form in {Format.TABLE, Format.WIDE} else terminal.warn)(line)

    async def follow(self, client: Transport, job: str) -> bool:
        """Show a job to its end; return whether it succeeded."""
        from slipway.cli.progress import next_commands, view_on

        # Progress is no result: where a program reads the result, it goes beside it.
        file = sys.stdout if self.form in {Format.TABLE, Format.WIDE} else sys.stderr
        state = ""
        try:
            with view_on(file) as view:
                # Above the bar where there is one; else beside the output.
                outage = Outage(view.report, most_seconds=AWAY_SECONDS)
                async with aclosing(client.follow_job(job, outage=outage)) as events:
                    async for event in events:
                        view.show(event)
                        if event.kind == "done":
                            state = event.content["state"]
        except asyncio.CancelledError:
            terminal.warn(
                f"The job goes on: `slipway follow {job}` shows it, `slipway cancel {job}` ends it."
            )
            raise
        if state == "failed":
            for line in next_commands(await client.get(f"/jobs/{job}")):
                self.report(line)
        return state == "succeeded"

    async def follow_to_result(self, client: Transport, job: str) -> bool:
        """Show a job to its end, and what it has made; return whether it succeeded."""
        from slipway.cli.access import report_access

        if not await self.follow(client, job):
            return False
        await report_access(self.report, client, await client.get(f"/jobs/{job}"))
        return True

    async def finish(self, client: Transport, accepted: Mapping[str, Any], *, follow: bool) -> int:
        """Print an accepted change where a program reads it, and follow its job; return the exit status."""
        if self.form.is_whole:
            print_document(accepted, self.form)
        elif self.form is Format.NAME or not follow:
            terminal.say(str(accepted["job"]["id"]))
        return 0 if not follow or await self.follow_to_result(client, accepted["job"]["id"]) else 1


def command(app: typer.Typer, name: str, text: str) -> Callable[[Callable[..., Awaitable[int | None]]], None]:
    """Add an asynchronous function to an app; it gets a `Session` first, and returns the exit status."""

    def add(function: Callable[..., Awaitable[int | None]]) -> None:
        app.command(name, help=text, short_help=text)(runner(function))

    return add


def run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work; Ctrl-C cancels it, so that it can clean up."""
    is_default = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if is_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    gc.enable()
    try:
        return asyncio.run(work)
    finally:
        if is_default:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def runner(function: Callable[..., Awaitable[int | None]]) -> Callable[..., int]:
    """Return a function with the session's options in the place of the session."""

    def run(*, data: Path | None, output: Format, **arguments: Any) -> int:
        async def work() -> int:
            return await function(Session(data=data, form=output), **arguments) or 0

        return run_to_end(work())

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(function).parameters.values())[1:]
    options = [
        inspect.Parameter("data", keyword, default=None, annotation=DataOption),
        inspect.Parameter("output", keyword, default=Format.TABLE, annotation=FormatOption),
    ]
    parameters = [each.replace(kind=keyword) for each in own] + options
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
