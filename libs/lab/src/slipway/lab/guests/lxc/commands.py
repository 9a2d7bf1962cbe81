"""Programs of the host, run with a deadline; a failure becomes a `GuestError` with its last line."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from slipway.lab.guests.protocol import GuestError

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
QUICK_SECONDS = 20.0
"""For what takes milliseconds on an idle machine."""


def environment() -> dict[str, str]:
    """Give this process's environment with `sbin` on the PATH and untranslated messages."""
    return {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


async def run(argv: Sequence[str], *, timeout_seconds: float = QUICK_SECONDS, stdin: bytes = b"") -> str:
    """Run to the end and give what it printed; raise when it fails or does not end in time."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, errors = await process.communicate(stdin)
    except TimeoutError:
        raise GuestError(f"{argv[0]} did not end within {timeout_seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.wait()
    if process.returncode != 0:
        said = (
            errors.decode(errors="replace").strip() or output.decode(errors="replace").strip()
        ).splitlines()
        raise GuestError(f"{argv[0]} failed ({process.returncode}): {_gist(said)}")
    return output.decode(errors="replace")


async def attempt(argv: Sequence[str], *, timeout_seconds: float = QUICK_SECONDS) -> bool:
    """Run what may fail, as undoing what may never have been done."""
    try:
        await run(argv, timeout_seconds=timeout_seconds)
    except (GuestError, FileNotFoundError):
        return False
    return True


async def stream(argv: Sequence[str], on_line: Callable[[str], None], *, timeout_seconds: float) -> None:
    """Run with both streams handed over line by line; raise as `run` does."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(),
        start_new_session=True,
    )
    last = "no message"
    try:
        async with asyncio.timeout(timeout_seconds):
            while process.stdout is not None and (line := await process.stdout.readline()):
                last = line.decode(errors="replace").rstrip()
                on_line(last)
            await process.wait()
    except TimeoutError:
        raise GuestError(f"{argv[0]} did not end within {timeout_seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.wait()
    if process.returncode != 0:
        raise GuestError(f"{argv[0]} failed ({process.returncode}): {last}")


def _gist(lines: Sequence[str]) -> str:
    """Give the first line that calls itself an error, else the last one."""
    errors = [line for line in lines if "rror: " in line]
    return (errors or list(lines)[-1:] or ["no message"])[0].strip()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the whole group: mmdebstrap and apt have children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
