"""As which user the services run, and what has to be done so that this user reaches our programs."""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.standalone import confine
from slipway.standalone.embedded.process import Account, account_for

_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SYS_ADMIN = 1, 2, 21
"""Numbers of the kernel's capabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How a process is started: under which user, and which parts of closed folders it sees."""

    account: Account | None = None
    """None: as ourselves."""
    show: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Closed folder to the needed paths below it."""
    keep: int | None = None
    """The one capability that is stored."""
    remark: str | None = None
    """What a person should know, if the processes keep more rights than they need."""

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
            "keep": self.keep,
        }
        return [sys.executable, "-I", "-S", confine.__file__, json.dumps(orders), *command]


OURSELVES = Confinement()
"""As the user who runs `slipway`."""


def confinement_for(data: Path, needed: Sequence[Path]) -> Confinement:
    """Decide how services run: as ourselves, or as root under an ordinary user who sees what is needed."""
    if os.geteuid() != 0:
        return OURSELVES
    account = account_for(data)
    show: dict[str, list[str]] = {}
    for path in sorted({each for one in needed for each in (one, one.resolve()) if one.exists()}):
        shut = _closed(path, account)
        if shut is not None:
            show.setdefault(str(shut), []).append(str(path))
        if shut == path or not _may(path, account, 0o5):
            return _reading(account, f"{path} is closed to others")
    if show and _CAP_SYS_ADMIN not in _capabilities():
        return _reading(account, f"{', '.join(show)} is closed to others, and this root may not mount")
    return Confinement(account=account, show={folder: _outermost(inside) for folder, inside in show.items()})


def _reading(account: Account, why: str) -> Confinement:
    """Let an ordinary user read everything; where not even that can be given, stay root."""
    stored = next(
        (each for each in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if each in _capabilities()), None
    )
    if stored is None:
        return Confinement(remark=f"The services run as root: {why}.")
    remark = f"The services run as user {account.uid}, but may read every file of this machine: {why}."
    return Confinement(account=account, keep=stored, remark=remark)


def programs() -> list[Path]:
    """List what a service reads to run: Python, the virtual environment, the project's parts."""
    return [Path(sys.prefix), Path(sys.base_prefix), *(Path(entry) for entry in sys.path if entry)]


def _closed(path: Path, account: Account) -> Path | None:
    """Find the outermost folder on the way to a path that the user can't go through."""
    for each in (*reversed(path.parents), path):
        if not _may(each, account, 0o1):
            return each
    return None


def _may(path: Path, account: Account, wanted: int) -> bool:
    found = path.stat()
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
    return found.st_mode >> shift & wanted == wanted


def _outermost(paths: Sequence[str]) -> list[str]:
    """Leave out paths that lie below another one of the list."""
    return [path for path in paths if not any(Path(other) in Path(path).parents for other in paths)]


def _capabilities() -> frozenset[int]:
    """Tell what this root may do: in a container it is not everything."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return frozenset(number for number in range(64) if held >> number & 1)
