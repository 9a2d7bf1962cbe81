"""Processes that are stored running, with real ones."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.standalone.environment import plain_environment
from slipway.standalone.forks import Command, Forks
from slipway.standalone.logview import LogView
from slipway.standalone.supervisor import Supervised
from support.waiting import lives, until


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """A fork server for all tests here: to import takes it a while."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def view(tmp_path: Path) -> LogView:
    """A log in files only."""
    return LogView(tmp_path, is_quiet=True)


SLEEPS = "print('up'); import time; time.sleep(60)"


def python(code: str) -> Command:
    """Make a command that runs some Python."""
    return Command(name="it", arguments=("-c", code), environment=plain_environment())


async def test_started_again(forks: Forks, view: LogView) -> None:
    """A killed process is started again at once, and its lines stay together."""
    stored = Supervised(python(SLEEPS), forks, view, on_change=lambda: None)
    stored.start()
    await until(lambda: view.tail("it") == "up")
    first = stored.pid or 0

    os.kill(first, signal.SIGKILL)

    await until(lambda: stored.pid not in {first, None}, within_seconds=3)
    await until(lambda: view.tail("it") == "up\nup")
    await stored.stop(seconds=2)
    assert stored.pid is None


async def test_stubborn(forks: Forks, view: LogView) -> None:
    """A process that ignores SIGTERM is killed, with its children."""
    code = "import signal as s, subprocess as p; s.signal(s.SIGTERM, s.SIG_IGN)"
    child_code = "print(p.Popen(['sleep', '60']).pid); s.pause()"
    stored = Supervised(python(f"{code}; {child_code}"), forks, view, on_change=lambda: None)
    stored.start()
    await until(lambda: view.tail("it").isdigit())
    child = int(view.tail("it"))

    await asyncio.wait_for(stored.stop(seconds=0.2), 3)

    await until(lambda: not lives(child))
    assert stored.pid is None


async def test_long_line(forks: Forks, view: LogView, tmp_path: Path) -> None:
    """A line of 2 MB arrives whole."""
    code = "import time; print('x' * 2_000_000, flush=True); time.sleep(60)"
    stored = Supervised(python(code), forks, view, on_change=lambda: None)
    stored.start()
    await until(lambda: bool(view.tail("it")))
    await stored.stop(seconds=2)

    assert len((tmp_path / "it.log").read_text()) == 2_000_001


CHATTY = "for n in range(30_000): print('line', n)\nimport time; print('through', flush=True); time.sleep(60)"


@contextmanager
def at_most(kind: int, least: int) -> Iterator[None]:
    """Take a resource away from this process for a while."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


async def test_full_disk(forks: Forks, view: LogView, tmp_path: Path) -> None:
    """A process whose log can't be written is read all the same, and never hangs in its own output."""
    (tmp_path / "it.log").symlink_to("/dev/full")
    stored = Supervised(python(CHATTY), forks, view, on_change=lambda: None)
    stored.start()

    await until(lambda: view.tail("it").endswith("through"))

    assert stored.pid is not None
    await stored.stop(seconds=2)


async def test_room_again(forks: Forks, view: LogView, tmp_path: Path) -> None:
    """Lines that found no room are counted, and what comes after them is written whole."""
    view.write("it", "before")
    with at_most(resource.RLIMIT_FSIZE, 10):
        for word in ("torn in two", "lost", "lost too"):
            view.write("it", word)

    view.write("it", "after")

    lines = (tmp_path / "it.log").read_text().splitlines()
    assert lines == ["before", "tor", "(3 lines could not be written here)", "after"]


def test_nobody_reads(tmp_path: Path) -> None:
    """With standard output closed or full, a process goes on, and its lines are in its file."""
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from slipway.standalone.logview import LogView; from slipway.cli.terminal import finish\n"
        "from slipway.standalone.forks import Command, Forks\n"
        "from slipway.standalone.supervisor import relay\n"
        "lines = 'for n in range(20000): print(n)'\n"
        "command = Command(name='it', arguments=('-c', lines), environment={})\n"
        "async def run():\n"
        "    forks = Forks()\n"
        "    await relay(await forks.launch(command), 'it', LogView(Path(sys.argv[1])))\n"
        "    forks.close()\n"
        "asyncio.run(run()); finish()\n"
    )
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full:  # noqa: PTH123  no file of ours
        for name, out in (("closed", write), ("full", full.fileno())):
            (tmp_path / name).mkdir()

            command = [sys.executable, "-c", code, str(tmp_path / name)]
            ended = subprocess.run(command, check=False, stdout=out, stderr=subprocess.PIPE, timeout=60)

            assert (ended.returncode, ended.stderr) == (0, b""), name
            assert (tmp_path / name / "it.log").read_text().count("\n") == 20_000
    os.close(write)


async def test_no_process_to_be_had(forks: Forks, view: LogView) -> None:
    """A process that can't be started for want of something is started as soon as it can be."""
    stored = Supervised(python(SLEEPS), forks, view, on_change=lambda: None)
    stored.start()
    await until(lambda: view.tail("it") == "up")
    with at_most(resource.RLIMIT_NOFILE, 3):
        os.kill(stored.pid or 0, signal.SIGKILL)
        await until(lambda: "it does not run (it can't be started: " in view.tail("slipway"))

    await until(lambda: view.tail("it") == "up\nup")

    assert stored.pid is not None
    await stored.stop(seconds=2)


async def test_no_room_to_note(forks: Forks, view: LogView) -> None:
    """A change that can't be noted leaves no process unwatched."""
    outages = [OSError(28, "No space left on device")]

    def note() -> None:
        if outages:
            raise outages.pop()

    stored = Supervised(python(SLEEPS), forks, view, on_change=note)
    stored.start()

    await until(lambda: stored.starts == 2 and view.tail("it").endswith("up"))

    assert "No space left" in view.tail("slipway")
    await stored.stop(seconds=2)


async def test_rotated(tmp_path: Path) -> None:
    """A log and the one before it never take more than twice the bound."""
    view = LogView(tmp_path, is_quiet=True, most_bytes=1000)

    for number in range(1000):
        view.write("it", f"line {number}")

    assert (tmp_path / "it.log").stat().st_size + (tmp_path / "it.log.1").stat().st_size < 2100
    assert (tmp_path / "it.log").read_text().endswith("line 999\n")
