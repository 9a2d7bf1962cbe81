"""Ctrl-C while the command line starts: it ends at once or in good order, and never with a traceback."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from slipway.standalone.embedded.shared import remove_place
from support.folders import open_folder
from support.waiting import until

END_SECONDS = 15.0


@pytest.fixture
def data() -> Iterator[Path]:
    """A place for a data folder."""
    with open_folder("interrupted") as folder:
        yield folder / "data"
        remove_place(folder / "data")


def test_while_the_command_line_is_loaded(tmp_path: Path) -> None:
    """The signal comes in the middle of an import, where Python's own handler would raise."""
    hook = """
import sys, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background command ignores it
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from slipway.cli.__main__ import main
sys.exit(main())
"""
    command = [sys.executable, "-c", hook, "up", "--data", str(tmp_path / "data")]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


async def test_while_a_command_is_loaded(data: Path) -> None:
    """The same while the process goes on as another program: the signal waits for it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway.cli", "up", "--data", str(data), "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell's background command ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    await until(lambda: "slipway.standalone.up" in psutil.Process(process.pid).cmdline())

    process.send_signal(signal.SIGINT)

    output, errors = await asyncio.wait_for(process.communicate(), END_SECONDS)
    assert (process.returncode, errors) == (0, b"")
    assert output.decode().splitlines()[-1] == "Stopping ..."


def test_while_the_servers_start(data: Path) -> None:
    """Ctrl-C in a terminal reaches the whole group; what runs is stopped, and the status is 0."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway.cli", "up", "--data", str(data), "--port", "0"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    output = os.read(terminal, 1000)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    try:
        while more := os.read(terminal, 1000):
            output += more
    except OSError:
        pass  # its side of the terminal is closed

    assert process.wait(END_SECONDS) == 0, output
    assert time.monotonic() - began < END_SECONDS
    lines = output.decode().splitlines()
    assert lines == [f"Starting Slipway (logs: {data / 'log'}) ...", "Stopping ..."]
