"""Wait for a Proxmox task, relaying its log.

Theory of operation. The task's status is asked after pauses of a tenth of the time that it has taken so far,
0.1 s at least and 2 s at most: a short task's end is seen at once, a long one costs little. After each the
log is read from the line after the last one. Status before log, so that the log is complete once the task has
ended. A node that can't be reached meanwhile, or answers with an error of its own, is waited for until the
deadline: the task runs there without us.

Each log line is relayed once and in order; a new owner of the work passes `from_line` and gets the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.error_mapping import exit_status_error
from slipway.proxmox.errors import NodeUnreachable, ProxmoxFailed, TaskTimedOut
from slipway.proxmox.task_answers import LogLine
from slipway.proxmox.upid import Upid

LEAST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
_SHARE = 0.1
"""Of the time that a task has taken, the next pause."""

OnLog = Callable[[LogLine], Awaitable[None]]


async def wait(
    api: ProxmoxApi, upid: Upid, *, deadline: timedelta, on_log: OnLog | None = None, from_line: int = 0
) -> None:
    """Wait until the task has ended well, if with warnings.

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
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            text = await _exit_status(api, upid, on_log, from_line)
    except TimeoutError as error:
        raise TaskTimedOut(f"The task {upid.type} of {upid.id} still runs.", upid=upid) from error
    if text != "OK" and not text.startswith("WARNINGS: "):
        raise exit_status_error(upid, text)


async def _exit_status(api: ProxmoxApi, upid: Upid, on_log: OnLog | None, from_line: int) -> str:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        pause = max(LEAST_PAUSE_SECONDS, _SHARE * (loop.time() - began))
        try:
            status = await api.task_status(upid)
            if on_log is not None:
                for line in await api.task_log(upid, from_line):
                    await on_log(line)
                    from_line = line.number
        except NodeUnreachable:
            pause = LONGEST_PAUSE_SECONDS
        except ProxmoxFailed as error:
            if "status" not in error.details:
                raise
            pause = LONGEST_PAUSE_SECONDS
        else:
            if status.status == "stopped":
                return status.exitstatus or ""
        await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
