"""Wait for a Proxmox task, relaying its log.

Theory of operation. The task's status is asked in steps that grow from 0.2 to 2 s; after each, the log is
read from the line after the last one. Status before log, so that the log is complete once the task has ended.
A node that can't be reached meanwhile, or answers with an error of its own, is waited for until the deadline:
the task runs there without us.

Each log line is relayed once and in order; a new owner of the work passes `from_line` and gets the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.error_mapping import sort_exit_status
from slipway.proxmox.errors import NodeUnreachable, ProxmoxFailed, TaskTimedOut
from slipway.proxmox.task_answers import LogLine, TaskStatus
from slipway.proxmox.upid import Upid

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
_GROWTH = 1.5
_WARNINGS = "WARNINGS: "

OnLog = Callable[[LogLine], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task that succeeded."""

    upid: Upid
    warnings: int
    """How many; a success all the same."""
    lines: int
    """How many lines of log were relayed, those before `from_line` included."""


async def wait(
    api: ProxmoxApi, upid: Upid, *, deadline: timedelta, on_log: OnLog | None = None, from_line: int = 0
) -> TaskResult:
    """Wait until the task has ended well.

    Args:
        api: The cluster that runs it.
        upid: The task.
        deadline: How long at most, from now.
        on_log: Gets each line of the task's log.
        from_line: How many lines are known already.

    Raises:
        TaskTimedOut: It still runs at the deadline.
        TaskLost: Its worker was killed; what it did is unknown.
        TaskFailed: It failed; or the typed error that its text stands for (`VmidTaken`, `LockTimeout`,
            `ContainerLocked`, `NotRunning`, ...). Each carries the detail `upid`.
    """
    watch = _Watch(api, upid, on_log=on_log, line=from_line)
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            ended = await watch.end()
    except TimeoutError as error:
        raise TaskTimedOut(f"The task {upid.type} of {upid.id} still runs.", upid=upid) from error
    text = ended.exitstatus or ""
    if text == "OK":
        return TaskResult(upid=upid, warnings=0, lines=watch.line)
    if text.startswith(_WARNINGS):
        return TaskResult(upid=upid, warnings=int(text.removeprefix(_WARNINGS)), lines=watch.line)
    raise sort_exit_status(upid, text)


class _Watch:
    """One wait: how far the log is read, and how long to pause."""

    def __init__(self, api: ProxmoxApi, upid: Upid, *, on_log: OnLog | None, line: int) -> None:
        self._api = api
        self._upid = upid
        self._on_log = on_log
        self.line = line

    async def end(self) -> TaskStatus:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                status = await self._api.task_status(self._upid)
                await self._relay()
            except NodeUnreachable:
                pause = LONGEST_PAUSE_SECONDS
            except ProxmoxFailed as error:
                if "status" not in error.details:
                    raise
                pause = LONGEST_PAUSE_SECONDS
            else:
                if status.status == "stopped":
                    return status
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, LONGEST_PAUSE_SECONDS)

    async def _relay(self) -> None:
        if self._on_log is None:
            return
        log = await self._api.task_log(self._upid, self.line)
        for line in log.lines:
            await self._on_log(line)
            self.line = line.number
