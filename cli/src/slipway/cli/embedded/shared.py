"""What servers of root read and write, where their ordinary user can reach it.

That user may not be able to reach a clone or a data folder below somebody's private home: then programs are
copied to, and data is kept in, a place under `/var/lib/slipway` that it can reach. Paths there are owned by
root, so nobody else can put himself in the way.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from slipway.cli.embedded.process import Account, EmbeddedFailure

SHARED = Path("/var/lib/slipway")
"""Where root keeps what the servers' user must reach."""


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
