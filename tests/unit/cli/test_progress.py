"""What a job's events look like as plain lines."""

import io
import json

import pytest
from rich.console import Console

from slipway.cli.progress import LiveView, PlainView, lines_of, next_commands
from slipway.client.sse import ServerEvent


def event(kind: str, **content: object) -> ServerEvent:
    """Make an event."""
    return ServerEvent(id="1", kind=kind, text=json.dumps(content))


@pytest.mark.parametrize(
    ("shown", "lines"),
    [
        (event("phase", phase="start", status="started", percent=20), [" 20 % | phase start started"]),
        (event("step", step="create.task", status="started", percent=5), ["  5 % | create.task"]),
        (event("step", step="create.task", status="finished", percent=9), []),
        (event("log", lines=[{"stream": "stderr", "text": "\x1b[31mno\x07"}]), ["      | ! no"]),
        (
            event("item", index=0, vmid=101, hostname="web-1", state="running", percent=0),
            ["  0 % | web-1 (101) running"],
        ),
        (
            event(
                "item",
                index=1,
                vmid=999,
                hostname="",
                state="failed",
                percent=50,
                error={"code": "x.y", "message": "No."},
            ),
            [" 50 % | container (999) failed: No. (x.y)"],
        ),
        (event("done", state="succeeded", percent=100), ["100 % | succeeded"]),
    ],
)
def test_lines(shown: ServerEvent, lines: list[str]) -> None:
    """Each kind of event has its lines; what would steer a terminal is taken out."""
    assert lines_of(shown) == lines


def log(text: str, *, step: str = "a", is_unfinished: bool = False) -> ServerEvent:
    """Make a log event of one line."""
    return event("log", step=step, lines=[{"stream": "stdout", "text": text}], is_unfinished=is_unfinished)


DONE = event("done", state="succeeded", percent=100)
PROGRESS = [log("10 %", is_unfinished=True), log("50 %", is_unfinished=True)]


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([*PROGRESS, log("100 %"), DONE], ["100 %"]),
        ([*PROGRESS, event("progress", percent=5, message="still"), log("100 %"), DONE], ["100 %"]),
        ([*PROGRESS, log("of the next", step="b"), DONE], ["50 %", "of the next"]),
        ([*PROGRESS, DONE], ["50 %"]),
    ],
)
def test_unfinished_line_is_written_once(events: list[ServerEvent], lines: list[str]) -> None:
    """Where no line can be replaced, only what is left of it is written: its end, or its last state."""
    file = io.StringIO()

    with PlainView(file) as view:
        for each in events:
            view.show(each)

    written = [line for line in file.getvalue().splitlines() if line.startswith("      |")]
    assert written == [f"      |   {line}" for line in lines]


def test_unfinished_line_stands_above_the_bar() -> None:
    """It is drawn in place, and scrolls away only as a whole line."""
    file = io.StringIO()

    with LiveView(Console(file=file, force_terminal=True, width=60, height=20)) as view:
        for each in PROGRESS:
            view.show(each)
            view.draw()
        drawn = file.getvalue()
        file.truncate(0)
        view.show(log("all of it"))
        view.show(DONE)
    written = file.getvalue()

    assert "10 %" in drawn
    assert "50 %" in drawn
    assert "\x1b[1A" in drawn
    assert written.count("all of it") == 1
    assert "50 %" not in written


def test_failure() -> None:
    """A failed job shows its problem and its code."""
    shown = event("done", state="failed", percent=60, error={"code": "script.failed", "message": "It broke."})

    assert lines_of(shown) == [" 60 % | failed", "      | It broke. (script.failed)"]


def test_failure_shows_where() -> None:
    """A failed job shows its step, its script, the exit code, the task, and the last lines."""
    details = {"step": "sync.script.1", "script": "20-site.sh", "exit_code": "3", "upid": "UPID:a"}
    error = {"code": "script.failed", "message": "No.", "details": {**details, "last_lines": "a\n\x1b[1mb"}}

    assert lines_of(event("done", state="failed", percent=60, error=error))[2:] == [
        "      |   step: sync.script.1",
        "      |   script: 20-site.sh",
        "      |   exit code: 3",
        "      |   task: UPID:a",
        "      |   last lines:",
        "      |     a",
        "      |     b",
    ]


def test_next_commands() -> None:
    """What makes sense after a failure is shown as commands."""
    assert next_commands({"id": "j", "container": "c", "actions": ["retry", "delete"]}) == [
        "      | now possible: slipway retry j",
        "      | now possible: slipway delete c",
    ]
