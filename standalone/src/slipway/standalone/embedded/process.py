"""Server processes that end when we end, and run as an ordinary user.

PostgreSQL refuses to run as root, and no server has to. So root starts them under an ordinary user; an
ordinary user starts them as himself. What that user can't reach is in `shared`.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from slipway.cli.errors import CommandFailed
from slipway.runtime.retry import Deadline

START_SECONDS = 300.0
"""How long a server that lives may take: after a power cut it reads its whole journal again."""
POLL_SECONDS = 0.05

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29


class EmbeddedFailure(CommandFailed):
    """An embedded server does not run; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that servers run as."""

    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether this user may go through every folder on the way, and read and enter or run this one."""
        resolved = path.resolve()
        return all(self.may(each, 0o1) for each in resolved.parents) and self.may(resolved, 0o5)

    def may(self, path: Path, bits: int) -> bool:
        """Whether a path's mode grants this user all of these bits: 1 to go through, 4 to read."""
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return status.st_mode >> shift & bits == bits


def account_for(data: Path) -> Account:
    """Choose the user: ourselves, or as root the owner of the data folder, `slipway` or `nobody`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    owner = data.stat().st_uid if data.exists() else 0
    users = {user.pw_name: user for user in reversed(pwd.getpwall())}
    owners = [user for user in users.values() if user.pw_uid == owner]
    for user in (*owners, users.get("slipway"), users.get("nobody")):
        if user is not None and user.pw_uid != 0:
            return Account(uid=user.pw_uid, gid=user.pw_gid)
    raise EmbeddedFailure("there is no user `slipway` or `nobody` that the servers could run as")


class Server:
    """A running server process; it gets `stop_signal` when our process dies.

    Make it on the main thread: the kernel sends the signal when the starting *thread* ends.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        account: Account,
        log: Path,
        stop_signal: signal.Signals,
        environment: Mapping[str, str] | None = None,
        timer_slack: timedelta = timedelta(),
    ) -> None:
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._process = run_as(
                account,
                command,
                output=output,
                ends_with=stop_signal,
                environment=environment,
                timer_slack=timer_slack,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait, blocking, until the server can be used; raise with the end of its log if it never can."""
        deadline = Deadline(START_SECONDS)
        while not self.has_started(is_ready, deadline=deadline):
            time.sleep(POLL_SECONDS)

    def has_started(self, is_ready: Callable[[], bool], *, deadline: Deadline) -> bool:
        """Ask once whether the server can be used.

        Args:
            is_ready: asks it; raises if it never will be.
            deadline: after it, or when the process has ended, the server is given up.
        """
        try:
            if is_ready():
                return True
        except EmbeddedFailure:
            self.kill()
            raise
        if self.is_running and not deadline.has_passed:
            return False
        text = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        self.kill()
        raise EmbeddedFailure(f"{self.name} did not start:\n{text}")

    def stop(self, *, seconds: float = 20.0) -> None:
        """End it in good order, or for good after a while."""
        if self.is_running:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()


def run_as(
    account: Account,
    command: Sequence[str | Path],
    *,
    output: IO[bytes] | int,
    ends_with: signal.Signals,
    environment: Mapping[str, str] | None = None,
    timer_slack: timedelta = timedelta(),
) -> "subprocess.Popen[bytes]":
    """Start a program as a user; it gets a signal when the thread that calls this ends.

    Args:
        account: the user.
        command: the program and its arguments.
        output: where all its output goes.
        ends_with: the signal.
        environment: beside the path and the locale.
        timer_slack: how much later than asked for the kernel may wake it (`prctl(2)`); 0 is the usual 50 us.
    """
    parent, slack_ns = os.getpid(), timer_slack // timedelta(microseconds=1) * 1000
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie_to_parent() -> None:
        # After the change of user, which would clear it.
        prctl(_PR_SET_PDEATHSIG, int(ends_with), 0, 0, 0)
        prctl(_PR_SET_TIMERSLACK, slack_ns, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    drops = os.geteuid() == 0
    try:
        return subprocess.Popen(  # noqa: S603 - the command is our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
            preexec_fn=tie_to_parent,  # noqa: PLW1509 - the death signal can be set nowhere else
            user=account.uid if drops else None,
            group=account.gid if drops else None,
            extra_groups=[] if drops else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedFailure(f"{command[0]} can't be started: {error}") from error
