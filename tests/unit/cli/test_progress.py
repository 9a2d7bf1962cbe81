"""What a job's events look like as plain lines."""

import json

import pytest

from slipway.cli.progress import lines_of
from slipway.cli.sse import ServerEvent


def event(kind: str, **content: object) -> ServerEvent:
    """Make an event."""
    return ServerEvent(id="1", kind=kind, text=json.dumps(content))


@pytest.mark.parametrize(
    ("told", "lines"),
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
def test_lines(told: ServerEvent, lines: list[str]) -> None:
    """Each kind of event has its lines; what would steer a terminal is taken out."""
    assert lines_of(told) == lines


def test_failure() -> None:
    """A failed job says its problem and its code."""
    told = event("done", state="failed", percent=60, error={"code": "script.failed", "message": "It broke."})

    assert lines_of(told) == [" 60 % | failed", "      | It broke. (script.failed)"]
