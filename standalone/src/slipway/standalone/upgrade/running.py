"""What runs on a data folder: finding it, stopping it in order, and how it is started again."""

import contextlib
import os
import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say
from slipway.runtime.retry import Deadline
from slipway.standalone.builds import own_build
from slipway.standalone.folders import DataFolder, FolderInUse
from slipway.standalone.systemd.service import main_pid, program_of_unit, run_steps, start_and_stop_steps
from slipway.standalone.systemd.unit import ENVIRONMENT, NAME

STOP_SECONDS = 100.0
"""As long as systemd waits for the service (`systemd.unit`), and some seconds."""
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A `slipway up`, or the service, which is one."""

    pid: int
    line: str
    """How it was called."""
    is_service: bool

    def __str__(self) -> str:
        return f"the service {NAME}" if self.is_service else f"`{self.line}` (process {self.pid})"


def find_running(folder: DataFolder) -> Running | None:
    """Find what runs on the folder; None if nothing does.

    Raises:
        CommandFailed: if it can't be told, because it starts or stops.
    """
    if not _is_locked(folder):
        return None
    parents = {_parent(pid) for pid in folder.living().values()} - {0, 1}
    if len(parents) != 1:
        raise CommandFailed(f"slipway is starting or stopping on {folder.path}; try again then")
    pid = parents.pop()
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    return Running(pid=pid, line=words.strip(), is_service=main_pid() == pid)


def refuse_other_program(running: Running | None) -> None:
    """Raise if the service would be started again with another build than this one."""
    if running is None or not running.is_service:
        return
    ours, theirs = Path(own_build().program).resolve(), program_of_unit().resolve()
    if ours != theirs:
        raise CommandFailed(
            f"the service runs {theirs}, and this is {ours}: after the upgrade it would start the old one. "
            f"Have it run this one first: `{shlex.join([str(ours), 'service', 'install'])}` with its "
            "options, which upgrades as it starts; or install the new build in the place of the old one"
        )


def stop(running: Running, folder: DataFolder) -> None:
    """Stop it, and wait until it has left the folder."""
    say(f"Stopping {running} ...")
    if running.is_service:
        run_steps(start_and_stop_steps()[1:])
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
    deadline = Deadline(STOP_SECONDS)
    while _is_locked(folder):
        if deadline.has_passed:
            raise CommandFailed(
                f"{running} did not stop within {STOP_SECONDS:.0f} seconds; nothing was changed. Stop it, "
                "then try again"
            )
        time.sleep(_POLL_SECONDS)


def start_service() -> None:
    """Start the service again."""
    run_steps(start_and_stop_steps()[:1])


def settings_of_service() -> dict[str, str]:
    """Return what the operator has set for the service."""
    if not ENVIRONMENT.exists():
        return {}
    lines = (line.strip() for line in ENVIRONMENT.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {name.strip(): " ".join(shlex.split(value)) for name, _, value in pairs}


def _is_locked(folder: DataFolder) -> bool:
    try:
        folder.take(is_upgrading=True).close()
    except FolderInUse:
        return True
    return False


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.rpartition(") ")[2].split()[1])
