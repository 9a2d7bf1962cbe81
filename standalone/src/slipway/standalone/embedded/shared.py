"""Files of servers that root starts, stored where the ordinary user that they run as can reach them.

That user may not be able to reach a clone or a data folder below somebody's private home: then programs are
copied to, and data is stored in, a place under `/var/lib/slipway` that it can reach. Paths there are owned by
root, so that no other user can replace them.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from slipway.standalone.embedded.process import Account, EmbeddedFailure
from slipway.standalone.folders import write_whole

SHARED = Path("/var/lib/slipway")
"""Where root keeps what the servers' user must reach."""
_ID_FILE = "place-id"
_OWNER_FILE = "data-folder"
_ID = re.compile(r"[0-9a-f]{12,16}")


def own_folder(data: Path, name: str, account: Account) -> Path:
    """Make the folder in which one server keeps its files, and which its user can reach.

    It is `data/name`; where root's data folder can't be reached by the servers' user, `data/name` is a link
    to a folder in the data folder's place under `/var/lib/slipway`.
    """
    folder = _made(data, name, account)
    give(folder, account)
    return folder


def services_folder(data: Path, account: Account) -> Path:
    """Make the folder that has one for each service, as `own_folder` does.

    It stays root's: a service that could put a link in the place of a folder there would lead root's writing
    elsewhere.
    """
    folder = _made(data, "services", account)
    if os.geteuid() == 0:
        give(folder, Account(uid=0, gid=0))
        folder.chmod(0o711)
    return folder


def give(folder: Path, account: Account) -> None:
    """As root, give a folder to a user; through no link that another user has made."""
    if os.geteuid() != 0:
        return
    if folder.is_symlink() and folder.lstat().st_uid != 0:
        raise EmbeddedFailure(f"{folder} is a link that user {folder.lstat().st_uid} has made: remove it")
    os.chown(folder, account.uid, account.gid)


def place_of(data: Path) -> Path | None:
    """Find the place of a data folder; None if it has none.

    Its name is a random id stored in the data folder: a new folder at the same path is another one, and one
    that was moved is the same. Before there were ids it was made from the path; then a link leads there.
    """
    try:
        place_id = (data / _ID_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        former = SHARED / hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
        links = [each for each in data.glob("*") if each.is_symlink()]
        return former if any(each.readlink() == former / each.name for each in links) else None
    if not _ID.fullmatch(place_id):
        raise EmbeddedFailure(f"{data / _ID_FILE} does not hold an id")
    return SHARED / place_id


def places_of(data: Path) -> list[Path]:
    """Return the place of a data folder, and those of folders that were at this path before it."""
    own = place_of(data)
    ours = [each for each in _places() if _owner(each) == data.resolve()]
    return [*ours, own] if own is not None and own.is_dir() and _owner(own) is None else ours


def remove_place(data: Path) -> list[Path]:
    """Remove them, and return what was removed."""
    ours = places_of(data)
    for place in ours:
        shutil.rmtree(place)
    return ours


def remove_unused() -> list[Path]:
    """Remove copies of programs that nothing runs, and places without anything in them."""
    running = [_program(each) for each in Path("/proc").glob("[0-9]*/exe")]
    copies = [*(SHARED / "programs").iterdir()] if (SHARED / "programs").is_dir() else []
    unused = [copy for copy in copies if not any(copy in program.parents for program in running)]
    for copy in unused:
        shutil.rmtree(copy)
    empty = [place for place in _places() if not any(place.iterdir())]
    for folder in (*empty, SHARED / "programs", SHARED):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return [*unused, *empty]


def _made(data: Path, name: str, account: Account) -> Path:
    data.mkdir(parents=True, exist_ok=True, mode=0o755)
    folder = data / name
    if os.geteuid() == 0 and not account.can_reach(data):
        folder = _linked(folder, _taken_place(data) / name, account)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _taken_place(data: Path) -> Path:
    """Find or make the place of a data folder, and see that no other folder uses it."""
    place = place_of(data)
    if place is None:
        place = SHARED / secrets.token_hex(8)
    _root_owned(place)
    other = _owner(place)
    if other is not None and other != data.resolve() and other.is_dir() and place_of(other) == place:
        raise EmbeddedFailure(
            f"{data} is a copy of {other}: the data of both would be in {place}; remove "
            f"{data / _ID_FILE} and the links beside it to begin without data"
        )
    write_whole(data / _ID_FILE, f"{place.name}\n")
    write_whole(place / _OWNER_FILE, f"{data.resolve()}\n")
    return place


def _linked(link: Path, place: Path, account: Account) -> Path:
    """Make a link to a place; a folder at the link's path, from when the user could reach it, moves there."""
    if link.is_symlink():
        if link.readlink() != place:
            raise EmbeddedFailure(f"{link} leads to {link.readlink()}, not to {place}: remove the link")
        return place
    if link.is_dir():
        shutil.move(link, place)
        for each in (place, *place.rglob("*")):
            os.chown(each, account.uid, account.gid, follow_symlinks=False)
    link.symlink_to(place)
    return place


def _places() -> list[Path]:
    return [each for each in SHARED.glob("*") if _ID.fullmatch(each.name) and each.is_dir()]


def _owner(place: Path) -> Path | None:
    """Return the data folder that a place belongs to; None if that is not written there."""
    try:
        return Path((place / _OWNER_FILE).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None


def _program(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        # It has ended meanwhile.
        return Path()


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
