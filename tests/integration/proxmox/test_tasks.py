"""Waiting for tasks against a real server whose task takes its time."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.proxmox import tasks
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import LockTimeout, TaskFailed, TaskLost, TaskTimedOut, VmidTaken
from slipway.proxmox.task_answers import LogLine
from slipway.proxmox.upid import Upid
from support.https_server import RESET, Answer, HttpsServer, Request, data

UPID = Upid("UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzcreate:202:root@pam:")
LIMIT = timedelta(seconds=10)


class Task:
    """Answers like a node with one task: it logs a line each time it is asked, and ends after some."""

    def __init__(self, exit_status: str, *, turns: int = 3, faults: tuple[Answer | str, ...] = ()) -> None:
        self.exit_status = exit_status
        self.turns = turns
        self.faults = list(faults)
        self.asked = 0

    def __call__(self, request: Request) -> Answer | str:
        """Answer for status and log."""
        if request.path.endswith("/log"):
            start = int(request.params["start"])
            lines = [{"n": n, "t": f"line {n}"} for n in range(start + 1, self.asked + 1)]
            return data(lines[::-1], total=self.asked)
        if self.faults:
            return self.faults.pop(0)
        self.asked += 1
        status = {
            "upid": UPID,
            "type": "vzcreate",
            "user": "root@pam",
            "node": "pve1",
            "starttime": 1,
            "id": "202",
        }
        if self.asked >= self.turns:
            return data({**status, "status": "stopped", "exitstatus": self.exit_status})
        return data({**status, "status": "running"})


async def outcome(folder: Path, task: Task, *, limit: timedelta = LIMIT, from_line: int = 0) -> list[str]:
    """Wait for the task; the lines that were relayed."""
    lines: list[str] = []

    async def keep(line: LogLine) -> None:
        lines.append(line.text)

    with HttpsServer(folder, task) as server:
        access = ApiAccess(
            endpoint=server.endpoint,
            token_id="slipway@pve!api",
            token_secret=SecretStr("x"),
            tls_fingerprint=server.fingerprint,
        )
        api = ProxmoxApi(access)
        try:
            await tasks.wait(api, UPID, deadline=limit, on_log=keep, from_line=from_line)
        finally:
            await api.aclose()
    return lines


async def test_each_line_of_the_log_is_relayed_once(tmp_path: Path) -> None:
    """In order, to the last one."""
    assert await outcome(tmp_path, Task("OK")) == ["line 1", "line 2", "line 3"]


async def test_a_new_owner_gets_the_rest_of_the_log(tmp_path: Path) -> None:
    """From the line after those that are known."""
    assert await outcome(tmp_path, Task("OK"), from_line=2) == ["line 3"]


async def test_warnings_are_a_success(tmp_path: Path) -> None:
    """A template without nesting gives one on every creation."""
    assert await outcome(tmp_path, Task("WARNINGS: 1", turns=1)) == ["line 1"]


async def test_a_node_that_is_away_meanwhile_is_waited_for(tmp_path: Path) -> None:
    """The task runs there without us."""
    away = Answer(status=595, reason="Connection refused", body=b"")

    assert await outcome(tmp_path, Task("OK", turns=1, faults=(away, RESET, RESET))) == ["line 1"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("unexpected status", TaskLost),
        ("container did not stop", TaskFailed),
        ("unable to create CT 202 - CT 202 already exists on node 'pve1'", VmidTaken),
        ("can't lock file '/run/lock/lxc/pve-config-202.lock' - got timeout", LockTimeout),
    ],
)
async def test_a_failure_is_typed(
    tmp_path: Path, text: str, error: type[TaskFailed | VmidTaken | LockTimeout]
) -> None:
    """And names the task."""
    with pytest.raises(error) as caught:
        await outcome(tmp_path, Task(text, turns=1))

    assert caught.value.details["upid"] == UPID


async def test_a_task_beyond_the_deadline_goes_on_without_us(tmp_path: Path) -> None:
    """Time's move, not a failure."""
    with pytest.raises(TaskTimedOut):
        await outcome(tmp_path, Task("OK", turns=1000), limit=timedelta(seconds=0.5))
