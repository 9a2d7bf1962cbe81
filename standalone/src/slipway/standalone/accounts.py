"""The user that the services run as, and what lets this user reach our programs."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slipway.standalone.embedded.process import Account, account_for

_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_NET_BIND_SERVICE, _CAP_SYS_ADMIN = 1, 2, 10, 21
"""Numbers of the kernel's capabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How a process is started: under which user, and which parts of closed folders it sees."""

    account: Account | None = None
    """None: as ourselves."""
    show: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Closed folder to the needed paths below it."""
    keep: int | None = None
    """The one capability that the process keeps."""
    remark: str | None = None
    """What a person should know, if the processes keep more rights than they need."""

    def orders(self, *, dies_with: signal.Signals) -> dict[str, Any]:
        """Return what `confine.confine` is to do in a process that gets a signal when we die."""
        return {
            "parent": os.getpid(),
            "signal": int(dies_with),
            "uid": self.account.uid if self.account else None,
            "gid": self.account.gid if self.account else None,
            "show": dict(self.show),
            "keep": self.keep,
        }


OURSELVES = Confinement()
"""As the user who runs `slipway`."""


def confinement_for(data: Path, needed: Sequence[Path]) -> Confinement:
    """Return how services run: as ourselves, or as root under an ordinary user who sees what is needed."""
    if os.geteuid() != 0:
        return OURSELVES
    account = account_for(data)
    show: dict[str, list[str]] = {}
    for path in sorted({each for one in needed for each in (one, one.resolve()) if one.exists()}):
        closed = _closed(path, account)
        if closed is not None:
            show.setdefault(str(closed), []).append(str(path))
        if closed == path or not account.may(path, 0o5):
            return _reading(account, f"{path} is closed to others")
    if show and _CAP_SYS_ADMIN not in _capabilities():
        return _reading(account, f"{', '.join(show)} is closed to others, and this root may not mount")
    return Confinement(account=account, show={folder: _outermost(inside) for folder, inside in show.items()})


def _reading(account: Account, reason: str) -> Confinement:
    """Return how an ordinary user runs who may read everything; root, where that is not possible."""
    capability = next(
        (each for each in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if each in _capabilities()), None
    )
    if capability is None:
        return Confinement(remark=f"The services run as root: {reason}.")
    remark = f"The services run as user {account.uid}, but may read every file of this machine: {reason}."
    return Confinement(account=account, keep=capability, remark=remark)


def listening_anywhere(confinement: Confinement) -> Confinement:
    """Return how a service runs that listens on a port which an ordinary user may not have."""
    is_missing = confinement.account is not None and confinement.keep is None
    return (
        replace(confinement, keep=_CAP_NET_BIND_SERVICE)
        if is_missing and _CAP_NET_BIND_SERVICE in _capabilities()
        else confinement
    )


def programs() -> list[Path]:
    """Return what a service reads to run: Python, the virtual environment, the project's parts."""
    return [Path(sys.prefix), Path(sys.base_prefix), *(Path(entry) for entry in sys.path if entry)]


def _closed(path: Path, account: Account) -> Path | None:
    """Return the outermost folder on the way to a path that the user can't go through."""
    return next((each for each in (*reversed(path.parents), path) if not account.may(each, 0o1)), None)


def _outermost(paths: Sequence[str]) -> list[str]:
    """Leave out paths that lie below another one of the list."""
    return [path for path in paths if not any(Path(other) in Path(path).parents for other in paths)]


def _capabilities() -> frozenset[int]:
    """Return what this root may do: in a container it is not everything."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return frozenset(number for number in range(64) if effective >> number & 1)
