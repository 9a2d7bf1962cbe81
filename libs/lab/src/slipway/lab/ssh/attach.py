"""`pct exec`: a command in a guest with its streams joined to those of the SSH session.

Theory of operation. Three pumps run until the guest's command has closed its outputs; standard input is fed
as long as someone sends, and dropped when the command ends first. When the session goes, this is cancelled
and hangs up on the command, which decides for itself what to do about it. Nothing is buffered here: a slow
reader slows the guest. Ordered faults cut the output after so many lines.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from slipway.lab.faults import CommandFails, NeverReady
from slipway.lab.guests.attached import Process
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host.machine import Machine
from slipway.lab.ssh import apt
from slipway.lab.ssh.streams import Streams

NOT_RUNNING = 255
_STARTING = "LAB_SYSTEM_STATE=starting"
"""The simulated systemctl answers with it, to the command and to all that it starts."""
_CLEAN = ["env", "-i"]


async def attach(machine: Machine, vmid: int, argv: Sequence[str], streams: Streams) -> int:
    """Run a command in a guest; give its exit code."""
    order = machine.faults.take(CommandFails, lambda fault: fault.match in " ".join(argv))
    if machine.faults.take(NeverReady, lambda fault: fault.is_about(vmid)):
        argv = _starting(argv)
    try:
        await apt.prepare(machine, vmid)
        process = await machine.guests.execute(vmid, argv)
    except GuestError as error:
        await streams.err(f"{error}\n".encode())
        return NOT_RUNNING
    lines = None if order is None else order.after_lines
    try:
        is_cut = await pump(process, streams, lines)
    except BaseException:
        process.terminate()
        raise
    if is_cut and order is not None:
        process.terminate()
        return order.exit_code
    return await process.wait()


async def pump(process: Process, streams: Streams, lines: int | None) -> bool:
    """Join a process to streams until its outputs end; return whether they were cut after so many lines."""
    feeding = asyncio.create_task(_feed(process, streams))
    limit = _Limit(lines)
    is_cut = False
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(process.stdout(), streams.out, limit))
            group.create_task(_copy(process.stderr(), streams.err, limit))
    except* _Cut:
        is_cut = True
    finally:
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await feeding
    return is_cut


async def _feed(process: Process, streams: Streams) -> None:
    while chunk := await streams.read():
        await process.write(chunk)
    await process.close_stdin()


class _Cut(Exception):
    """The output was cut after as many lines as ordered."""


class _Limit:
    def __init__(self, lines: int | None) -> None:
        self._left = lines

    def pass_on(self, chunk: bytes) -> tuple[bytes, bool]:
        if self._left is None:
            return chunk, False
        pieces = chunk.splitlines(keepends=True)
        allowed = pieces[: self._left]
        self._left -= len(allowed)
        return b"".join(allowed), self._left == 0 or len(pieces) > len(allowed)


async def _copy(
    source: AsyncIterator[bytes], target: Callable[[bytes], Awaitable[None]], limit: _Limit
) -> None:
    async for chunk in source:
        passed, is_over = limit.pass_on(chunk)
        await target(passed)
        if is_over:
            raise _Cut


def _starting(argv: Sequence[str]) -> list[str]:
    """Add to a command's environment, also to a clean one, that its guest has not booted."""
    cleared = _CLEAN if list(argv[:2]) == _CLEAN else []
    return [*(cleared or _CLEAN[:1]), _STARTING, *argv[len(cleared) :]]
