"""The `slipway` command as it is typed: a process of its own, in a terminal or without one."""

import asyncio
import os
import pty
import sys

from support.stack import RunningStack


async def slipway(stack: RunningStack, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    """Run the command line, in a terminal if something is typed; its exit status, and what it wrote."""
    command = (sys.executable, "-m", "slipway.cli", *arguments, "--data", str(stack.data))
    keyboard, terminal = pty.openpty()
    os.write(keyboard, (typed or "").encode())
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL if typed is None else terminal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    for end in (keyboard, terminal):
        os.close(end)
    return process.returncode or 0, output.decode()
