"""How a job looks while it runs: a live bar and its lines in a terminal, plain lines anywhere else."""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from slipway.cli.output import clean
from slipway.client.sse import ServerEvent

_PLACES = {
    "step": "step",
    "script": "script",
    "command": "command",
    "exit_code": "exit code",
    "upid": "task",
}
PHASES = ("create", "start", "deploy", "sync", "finalize")


class Shown(Protocol):
    """Takes a job's events and shows them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, event: ServerEvent) -> None:
        """Show one event."""


def shown_on(console: Console) -> Shown:
    """Choose the way of showing that fits where the output goes."""
    if console.is_terminal:
        return LiveProgress(console)
    return PlainProgress(partial(console.print, soft_wrap=True, markup=False, highlight=False))


class PlainProgress:
    """One line for each event."""

    def __init__(self, write: Callable[[Text], None]) -> None:
        self._write = write

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, event: ServerEvent) -> None:
        """Write what an event says."""
        for line in lines_of(event):
            self._write(Text(line))


class LiveProgress:
    """A bar at the bottom with percent and step; the lines run above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]{task.fields[phase]:<9}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", markup=False),
            console=console,
            transient=False,
        )
        self._bar: TaskID = self._progress.add_task("", total=100, phase="queued", step="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event: ServerEvent) -> None:
        """Move the bar, and let lines run above it."""
        told = event.content
        if "percent" in told:
            self._progress.update(self._bar, completed=told["percent"])
        if event.kind == "phase":
            self._progress.update(self._bar, phase=told["phase"], step="")
        elif event.kind in {"step", "progress"}:
            self._progress.update(self._bar, step=_step(told))
        if event.kind in {"phase", "log", "item", "done"}:
            style = "dim" if event.kind == "log" else "bold"
            for line in lines_of(event):
                self._console.print(Text(line, style=style), soft_wrap=True)


def lines_of(event: ServerEvent) -> list[str]:
    """Say an event in plain lines."""
    told = event.content
    match event.kind:
        case "phase":
            return [f"{told['percent']:>3} % | phase {told['phase']} {told['status']}"]
        case "step" if told.get("status") in {"started", "failed"}:
            return [f"{told.get('percent', 0):>3} % | {_step(told)}"]
        case "progress" | "item":
            said = _item(told) if event.kind == "item" else _step(told)
            return [f"{told.get('percent', 0):>3} % | {said}"]
        case "log":
            return [f"      | {_marked(line)}" for line in told.get("lines", ())]
        case "done":
            return [f"{told.get('percent', 100):>3} % | {told['state']}", *_error(told)]
    return []


def _item(told: dict[str, Any]) -> str:
    why = told.get("error") or {}
    reason = f": {why.get('message')} ({why.get('code')})" if why else ""
    return clean(f"{told.get('hostname') or 'container'} ({told['vmid']}) {told['state']}{reason}")


def _marked(line: dict[str, Any]) -> str:
    mark = "! " if line.get("stream") == "stderr" else "  "
    return mark + clean(str(line.get("text", "")))


def _step(told: dict[str, Any]) -> str:
    words = [str(told.get("step") or ""), str(told.get("script") or ""), str(told.get("message") or "")]
    if told.get("status") == "failed":
        words.append("failed")
    return clean(" ".join(word for word in words if word))


def _error(told: dict[str, Any]) -> list[str]:
    warnings = [f"      | warning: {clean(str(warning))}" for warning in told.get("warnings") or ()]
    error = told.get("error")
    if not error:
        return warnings
    said = clean(f"{error.get('message')} ({error.get('code')})")
    return [*warnings, f"      | {said}", *_evidence(error.get("details") or {})]


def _evidence(details: dict[str, Any]) -> list[str]:
    """Say where it failed, and what was said last there."""
    known = [(word, details.get(name)) for name, word in _PLACES.items()]
    shown = [clean(f"      |   {word}: {value}") for word, value in known if value]
    lines = str(details.get("last_lines") or "").splitlines()
    last = [f"      |     {clean(line)}" for line in lines]
    return [*shown, *(["      |   last lines:", *last] if last else [])]


def what_now(job: dict[str, Any]) -> list[str]:
    """Say which commands make sense after a failure."""
    container = job.get("container")
    commands = {
        "retry": f"slipway retry {job['id']}",
        "unlock": f"slipway unlock {container}",
        "restore": f"slipway restore {container} BACKUP (see slipway backups {container})",
        "delete": f"slipway delete {container}",
    }
    return [
        f"      | now possible: {commands[name]}" for name in job.get("actions") or () if name in commands
    ]
