"""How a job looks while it runs: a live bar and its lines in a terminal, plain lines anywhere else."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, TextIO

from slipway.cli import terminal
from slipway.cli.terminal import clean
from slipway.client.sse import ServerEvent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_DETAILS = {
    "step": "step",
    "script": "script",
    "command": "command",
    "exit_code": "exit code",
    "upid": "task",
}
"""Fields of an error's details to what they are called."""


def view_on(file: TextIO) -> "PlainView | LiveView":
    """Return the view that fits where the output goes."""
    if not file.isatty():
        return PlainView(file)
    # Only a terminal needs it.
    from rich.console import Console

    return LiveView(Console(file=file))


class PlainView(AbstractContextManager["PlainView"]):
    """Writes a line for each event; of a line that has no end yet, only the last that is known."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._unfinished = UnfinishedLine()

    def __exit__(self, *_error: object) -> None:
        """End the view; nothing is left to do."""

    def show(self, event: ServerEvent) -> None:
        """Write the event's lines."""
        for line in self._unfinished.lines_of(event):
            # Whoever reads the lines reads columns: a tab of a guest would shift them.
            print(line.expandtabs(), file=self._file, flush=True)

    def report(self, line: str) -> None:
        """Write a sentence about the connection beside the output, which a program may read."""
        terminal.warn(line)


class UnfinishedLine:
    """The last line of a log while it has no end."""

    def __init__(self) -> None:
        self.text = ""
        """The line as it is so far; empty if the last one has an end."""
        self._step = ""

    def lines_of(self, event: ServerEvent) -> list[str]:
        """Return the lines of an event; also the line that stays without an end, once nothing replaces it."""
        lines = lines_of(event)
        if event.kind not in {"log", "done"}:
            return lines
        step = event.content.get("step", "")
        stays = [self.text] if self.text and step != self._step else []
        self.text, self._step = "", step
        if event.content.get("is_unfinished"):
            self.text, lines = "".join(lines), []
        return [*stays, *lines]


class LiveView(AbstractContextManager["LiveView"]):
    """Draws a bar at the bottom with percent and step; lines run above it, one without an end stays there."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = console
        self._unfinished = UnfinishedLine()
        self._progress = Progress(
            TextColumn("[bold]{task.fields[phase]:<9}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", markup=False),
            console=console,
        )
        self._live = Live(console=console, get_renderable=self._drawn, refresh_per_second=10)
        self._bar = self._progress.add_task("", total=100, phase="queued", step="")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, event: ServerEvent) -> None:
        """Move the bar, and let lines run above it."""
        content = event.content
        if "percent" in content:
            self._progress.update(self._bar, completed=content["percent"])
        if event.kind == "phase":
            self._progress.update(self._bar, phase=content["phase"], step="")
        elif event.kind in {"step", "progress"}:
            self._progress.update(self._bar, step=_step(content))
        if event.kind in {"phase", "log", "item", "done"}:
            was_unfinished = bool(self._unfinished.text)
            lines = self._unfinished.lines_of(event)
            if was_unfinished and lines:
                # What is printed stands above what was drawn last: without the line that it replaces.
                self.draw()
            for line in lines:
                self._print(line, "dim" if event.kind == "log" else "bold")

    def draw(self) -> None:
        """Draw at once; it is drawn by itself ten times a second."""
        self._live.refresh()

    def report(self, line: str) -> None:
        """Print a sentence about the connection above the bar."""
        self._print(clean(line), "")

    def _drawn(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        if not self._unfinished.text:
            return self._progress
        line = Text(self._unfinished.text, style="dim", no_wrap=True, overflow="ellipsis")
        return Group(line, self._progress)

    def _print(self, line: str, style: str) -> None:
        self._console.print(line, style=style, soft_wrap=True, markup=False, highlight=False)


def lines_of(event: ServerEvent) -> list[str]:
    """Return an event as plain lines."""
    content = event.content
    percent = f"{content.get('percent', 100 if event.kind == 'done' else 0):>3} % |"
    lines: list[str] = []
    match event.kind:
        case "phase":
            lines = [f"{percent} phase {content['phase']} {content['status']}"]
        case "step" if content.get("status") in {"started", "failed"}:
            lines = [f"{percent} {_step(content)}"]
        case "progress":
            lines = [f"{percent} {_step(content)}"]
        case "item":
            lines = [f"{percent} {_item(content)}"]
        case "log":
            lines = [f"      | {_log_line(line)}" for line in content.get("lines", ())]
        case "done":
            lines = [f"{percent} {content['state']}", *_outcome(content)]
    return lines


def next_commands(job: dict[str, Any]) -> list[str]:
    """Return the commands that make sense after a failure, one a line."""
    container = job.get("container")
    commands = {
        "retry": f"slipway retry {job['id']}",
        "unlock": f"slipway unlock {container}",
        "restore": f"slipway container restore {container} BACKUP (see slipway backups {container})",
        "delete": f"slipway delete {container}",
    }
    actions = job.get("actions") or ()
    return [f"      | now possible: {commands[action]}" for action in actions if action in commands]


def _item(item: dict[str, Any]) -> str:
    error = item.get("error")
    reason = f": {error.get('message')} ({error.get('code')})" if error else ""
    return clean(f"{item.get('hostname') or 'container'} ({item['vmid']}) {item['state']}{reason}")


def _log_line(line: dict[str, Any]) -> str:
    mark = "! " if line.get("stream") == "stderr" else "  "
    return mark + clean(str(line.get("text", "")))


def _step(step: dict[str, Any]) -> str:
    parts = [str(step.get(field) or "") for field in ("step", "script", "message")]
    if step.get("status") == "failed":
        parts.append("failed")
    return clean(" ".join(part for part in parts if part))


def _outcome(content: dict[str, Any]) -> list[str]:
    """Return the warnings and the error of a job's end."""
    lines = [f"      | warning: {clean(str(warning))}" for warning in content.get("warnings") or ()]
    error = content.get("error")
    if not error:
        return lines
    message = clean(f"{error.get('message')} ({error.get('code')})")
    return [*lines, f"      | {message}", *_evidence(error.get("details") or {})]


def _evidence(details: dict[str, Any]) -> list[str]:
    """Return where it failed, and the last lines there."""
    lines = [f"  {label}: {details[field]}" for field, label in _DETAILS.items() if details.get(field)]
    if last := str(details.get("last_lines") or "").splitlines():
        lines += ["  last lines:", *(f"    {line}" for line in last)]
    return [f"      | {clean(line)}" for line in lines]
