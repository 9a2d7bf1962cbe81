"""Processes that are kept running, with real ones."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.cli.environment import plain_environment
from slipway.cli.logview import LogView
from slipway.cli.supervisor import Command, ProcessFailed, Supervised, run_once
from support.waiting import lives, until


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[LogView]:
    """A log in files only."""
    log = LogView(tmp_path, is_quiet=True)
    yield log
    log.close()


def python(code: str) -> Command:
    """Make a command that runs some Python."""
    return Command(name="it", arguments=(sys.executable, "-c", code), environment=plain_environment())


async def test_started_again(view: LogView) -> None:
    """A killed process is started again at once, and its lines are kept together."""
    kept = Supervised(python("print('up'); import time; time.sleep(60)"), view, on_change=lambda: None)
    kept.start()
    await until(lambda: view.tail("it") == "up")
    first = kept.pid or 0

    os.kill(first, signal.SIGKILL)

    await until(lambda: kept.pid not in {first, None}, within_seconds=3)
    await until(lambda: view.tail("it") == "up\nup")
    await kept.stop(seconds=2)
    assert kept.pid is None


async def test_stubborn(view: LogView) -> None:
    """A process that ignores SIGTERM is killed, with its children."""
    code = "import signal as s, subprocess as p; s.signal(s.SIGTERM, s.SIG_IGN)"
    child_code = "print(p.Popen(['sleep', '60']).pid); s.pause()"
    kept = Supervised(python(f"{code}; {child_code}"), view, on_change=lambda: None)
    kept.start()
    await until(lambda: view.tail("it").isdigit())
    child = int(view.tail("it"))

    await asyncio.wait_for(kept.stop(seconds=0.2), 3)

    await until(lambda: not lives(child))


async def test_failure_tells_why(view: LogView) -> None:
    """A program that had to succeed and did not is told with its last words."""
    with pytest.raises(ProcessFailed, match="no such schema"):
        await run_once(python("import sys; sys.exit('no such schema')"), view, seconds=10)


async def test_long_line(view: LogView, tmp_path: Path) -> None:
    """A line of 2 MB arrives whole."""
    await run_once(python("print('x' * 2_000_000)"), view, seconds=10)

    assert len((tmp_path / "it.log").read_text()) == 2_000_001
