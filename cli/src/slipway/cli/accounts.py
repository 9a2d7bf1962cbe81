"""As which user the services run, and what has to be done so that this user reaches our programs."""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.cli import confine
from slipway.cli.embedded.process import Account, account_for

_CAP_SYS_ADMIN = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How a process is started: under which user, and which parts of closed folders it sees."""

    account: Account | None = None
    """None: as ourselves."""
    show: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Closed folder to the needed paths below it."""
    remark: str | None = None
    """What a person should know, if the processes have to keep our rights."""

    def wrap(self, command: Sequence[str], *, dies_with: signal.Signals) -> list[str]:
        """Give the command line that starts a program this way.

        Args:
            command: an absolute path, and arguments.
            dies_with: the signal it gets when we die.
        """
        orders = {
            "parent": os.getpid(),
            "signal": int(dies_with),
            "uid": self.account.uid if self.account else None,
            "gid": self.account.gid if self.account else None,
            "show": dict(self.show),
        }
        return [sys.executable, "-I", "-S", confine.__file__, json.dumps(orders), *command]


OURSELVES = Confinement()
"""As the user who runs `slipway`."""


def confinement_for(data: Path, needed: Sequence[Path]) -> Confinement:
    """Decide how services run: as ourselves, or as root under an ordinary user who sees what is needed."""
    if os.geteuid() != 0:
        return OURSELVES
    account = account_for(data)
    paths = sorted({each for path in needed for each in (path, path.resolve()) if path.exists()})
    show: dict[str, list[str]] = {}
    for path in paths:
        shut = _closed(path, account)
        if shut == path:
            return Confinement(
                remark=f"The services run as root: {path} itself is closed to the user they should run as."
            )
        if shut is not None:
            show.setdefault(str(shut), []).append(str(path))
    if show and not _may_mount():
        closed = ", ".join(show)
        return Confinement(
            remark=f"The services run as root: {closed} is closed to others, and this root may not mount."
        )
    return Confinement(account=account, show={folder: _outermost(inside) for folder, inside in show.items()})


def programs() -> list[Path]:
    """List what a service reads to run: Python, the virtual environment, the project's parts."""
    return [Path(sys.prefix), Path(sys.base_prefix), *(Path(entry) for entry in sys.path if entry)]


def _closed(path: Path, account: Account) -> Path | None:
    """Find the outermost folder on the way to a path that the user can't go through."""
    for each in (*reversed(path.parents), path):
        if not account.can_reach(each) and not _may_pass(each, account):
            return each
    return None


def _may_pass(folder: Path, account: Account) -> bool:
    found = folder.stat()
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
    return bool(found.st_mode >> shift & 0o1)


def _outermost(paths: Sequence[str]) -> list[str]:
    """Leave out paths that lie below another one of the list."""
    return [path for path in paths if not any(Path(other) in Path(path).parents for other in paths)]


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held, 16) >> _CAP_SYS_ADMIN & 1) and hasattr(ctypes.CDLL(None), "unshare")
