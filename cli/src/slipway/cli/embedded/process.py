"""Server processes that end with us, run as nobody important, and can read what they need.

PostgreSQL refuses to run as root, and no server has to. So root starts them under an ordinary user; an
ordinary user starts them as himself. That user may not be able to reach a clone or a data folder below
somebody's private home: then programs are copied to, and data is kept in, a place under `/var/lib/slipway`
that it can reach. Paths there are owned by root, so nobody else can put himself in the way.
"""

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SHARED = Path("/var/lib/slipway")
"""Where root keeps what the servers' user must reach."""

_PR_SET_PDEATHSIG = 1


class EmbeddedFailure(Exception):
    """An embedded server does not run; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that servers run as."""

    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether this user may go through every folder on the way, and read and enter or run this one."""
        resolved = path.resolve()
        return all(self._may(each, 0o1) for each in resolved.parents) and self._may(resolved, 0o5)

    def _may(self, path: Path, wanted: int) -> bool:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return found.st_mode >> shift & wanted == wanted


def account_for(data: Path) -> Account:
    """Choose the user: ourselves, or as root the owner of the data folder, `slipway` or `nobody`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    owner = data.stat().st_uid if data.exists() else 0
    users = {user.pw_name: user for user in reversed(pwd.getpwall())}
    owners = [user for user in users.values() if user.pw_uid == owner]
    for found in (*owners, users.get("slipway"), users.get("nobody")):
        if found is not None and found.pw_uid != 0:
            return Account(uid=found.pw_uid, gid=found.pw_gid)
    raise EmbeddedFailure("there is no user `slipway` or `nobody` that the servers could run as")


def own_folder(data: Path, name: str, account: Account) -> Path:
    """Make the folder in which one server keeps its files, and which its user can reach.

    It is `data/name`; where root's data folder can't be reached by the servers' user, `data/name` is a link
    to a folder under `/var/lib/slipway`.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o755)
    folder = data / name
    if os.geteuid() == 0 and not account.can_reach(data):
        place = SHARED / hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12] / name
        _root_owned(place.parent)
        if not folder.is_symlink():
            folder.symlink_to(place)
        folder = place
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, account.uid, account.gid)
    return folder


def reachable(root: Path, parts: Sequence[str], account: Account) -> Path:
    """Find where this user can reach some programs: below `root`, or below a copy of those parts.

    Args:
        root: below which the programs are.
        parts: files and folders below `root`; they refer to each other by relative paths.
        account: who has to read and run them.
    """
    if all(account.can_reach(root / part) for part in parts):
        return root
    if os.geteuid() != 0:
        raise EmbeddedFailure(f"{root} can't be read by the user who runs the servers")
    newest = max((root / part).stat().st_mtime_ns for part in parts)
    named = f"{root} {'|'.join(parts)} {newest}"
    place = SHARED / "programs" / hashlib.sha256(named.encode()).hexdigest()[:12]
    if not place.exists():
        _copy(root, parts, place)
    return place


def _copy(root: Path, parts: Sequence[str], place: Path) -> None:
    _root_owned(place.parent)
    new = place.with_name(f"{place.name}.{os.getpid()}")
    new.mkdir(mode=0o755)
    for part in parts:
        target = new / part
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if (root / part).is_dir():
            shutil.copytree(root / part, target, symlinks=True)
        else:
            shutil.copy2(root / part, target)
    try:
        new.rename(place)
    except OSError:
        # Another start was faster; its copy is as good.
        shutil.rmtree(new)


def _root_owned(folder: Path) -> None:
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o755)
        if each.stat().st_uid != 0:
            raise EmbeddedFailure(f"{each} must belong to root")


class Server:
    """A running server process."""

    def __init__(
        self, name: str, process: "subprocess.Popen[bytes]", log: Path, *, stop_signal: signal.Signals
    ) -> None:
        self.name = name
        self._process = process
        self._log = log
        self._stop_signal = stop_signal

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        account: Account,
        log: Path,
        stop_signal: signal.Signals,
        environment: Mapping[str, str] | None = None,
    ) -> "Server":
        """Start a server that gets `stop_signal` when this thread's process dies.

        Call it from the main thread: the kernel sends the signal when the starting *thread* ends.
        """
        with log.open("ab") as output:
            process = run_as(account, command, output=output, ends_with=stop_signal, environment=environment)
        return cls(name, process, log, stop_signal=stop_signal)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait until the server can be used; raise with the end of its log if it never can."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running or time.monotonic() > deadline:
                said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
                self.kill()
                raise EmbeddedFailure(f"{self.name} did not start:\n{said}")
            time.sleep(0.005)

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
) -> "subprocess.Popen[bytes]":
    """Start a program as a user; it gets a signal when we die."""
    parent = os.getpid()
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie_to_parent() -> None:
        # After the change of user, which would clear it.
        prctl(_PR_SET_PDEATHSIG, int(ends_with), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    drops = os.geteuid() == 0
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
