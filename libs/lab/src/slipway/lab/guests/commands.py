"""Programs of the host, run with a deadline; a failure becomes a `GuestError` with its last line."""

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO

from slipway.lab.guests.protocol import GuestError

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
QUICK_SECONDS = 20.0
"""For what takes milliseconds on an idle machine."""


def environment() -> dict[str, str]:
    """Return this process's environment with `sbin` on the PATH and untranslated messages."""
    return {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def program(name: str) -> str:
    """Return the path of a host's program, also where the PATH of an ordinary user leaves out `sbin`."""
    return shutil.which(name, path=PATH) or name


async def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float = QUICK_SECONDS,
    stdin: bytes | IO[bytes] = b"",
    harmless: int = 0,
) -> str:
    """Run to the end and return the output; raise when it fails or does not end in time.

    `stdin` may be a file that the program reads itself; `harmless` is an exit code that is no failure either.
    """
    content, source = (stdin, PIPE) if isinstance(stdin, bytes) else (None, stdin)
    async with _started(argv, timeout_seconds, stdin=source, stderr=PIPE) as process:
        output, errors = await process.communicate(content)
    if process.returncode not in (0, harmless):
        lines = (_text(errors).strip() or _text(output).strip()).splitlines()
        raise GuestError(f"{argv[0]} failed ({process.returncode}): {_gist(lines)}")
    return _text(output)


async def attempt(argv: Sequence[str], *, timeout_seconds: float = QUICK_SECONDS) -> bool:
    """Run what may fail, as undoing what may never have been done."""
    try:
        await run(argv, timeout_seconds=timeout_seconds)
    except (GuestError, FileNotFoundError):
        return False
    return True


async def stream(argv: Sequence[str], on_line: Callable[[str], None], *, timeout_seconds: float) -> None:
    """Run with both streams handed over line by line; raise as `run` does."""
    last = "no message"
    async with _started(argv, timeout_seconds, stdin=DEVNULL, stderr=STDOUT) as process:
        while process.stdout is not None and (line := await process.stdout.readline()):
            last = _text(line).rstrip()
            on_line(last)
    if process.returncode != 0:
        raise GuestError(f"{argv[0]} failed ({process.returncode}): {last}")


@contextlib.asynccontextmanager
async def _started(
    argv: Sequence[str], timeout_seconds: float, *, stdin: int | IO[bytes], stderr: int
) -> AsyncIterator[Process]:
    """Start a program and wait for its end; kill it when it is late or nobody waits any more."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=stdin, stdout=PIPE, stderr=stderr, env=environment(), start_new_session=True
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            yield process
            await process.wait()
    except TimeoutError:
        raise GuestError(f"{argv[0]} did not end within {timeout_seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the whole group: mmdebstrap and apt have children
            await process.wait()


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _gist(lines: Sequence[str]) -> str:
    """Return the first line that calls itself an error, else the last one."""
    errors = [line for line in lines if "rror: " in line]
    return (errors or list(lines)[-1:] or ["no message"])[0].strip()
