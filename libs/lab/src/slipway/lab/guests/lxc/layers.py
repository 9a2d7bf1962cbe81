"""Root file systems of guests as overlays: own changes over an unpacked template over fetched packages.

A template archive is unpacked once per ownership (as it is, and shifted to root's subordinate ids) into the
cache, so making a guest costs milliseconds. Below it lies a folder of package files that earlier guests
fetched: apt finds them in its archive folder and fetches nothing. That is the lab's own convenience; on a
Proxmox node each container has its own disk. A lower layer never changes while it is mounted: new packages
make a new generation.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.lxc import place, template
from slipway.lab.guests.protocol import GuestError

UNPACK_SECONDS = 300.0
ARCHIVES = Path("var/cache/apt/archives")


async def unpacked(archive: Path, *, first_id: int) -> Path:
    """Return the folder of an unpacked archive, whose root has the id `first_id` (0: as it is)."""
    try:
        folder = place.cache_folder() / "bases" / f"{template.digest(archive)}-{first_id}"
    except FileNotFoundError:
        raise GuestError(f"template '{archive}' does not exist") from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            await _unpack(archive, folder, first_id)
    return folder


async def mount(root: Path, folder: Path, base: Path) -> None:
    """Mount a guest's root file system at `root`; `folder` holds its changes."""
    await unmount(root)
    await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
    generation = await asyncio.to_thread(newest_generation)
    layers = f"lowerdir={base}:{generation},upperdir={folder / 'delta'},workdir={folder / 'work'}"
    await commands.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(root)])


async def unmount(root: Path) -> None:
    """Unmount it, lazily when something still holds it; nothing to do if it is not mounted."""
    while await asyncio.to_thread(root.is_mount):
        if not await commands.attempt(["umount", str(root)]):
            await commands.run(["umount", "--lazy", str(root)])
    with contextlib.suppress(OSError):
        await asyncio.to_thread(root.rmdir)


def prepare(folder: Path, base: Path) -> None:
    """Make the folders for a guest's changes, owned as the template's root folder is."""
    owner = base.stat()
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("delta", "work"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "delta", owner.st_uid, owner.st_gid)
    (folder / "delta").chmod(owner.st_mode & 0o7777)


def gather(folders: Iterable[Path]) -> None:
    """Copy package files that guests have fetched into the pool, for the guests after them."""
    pool = _pool()
    names = {path.name for path in pool.iterdir()}
    fetched = (path for folder in folders for path in (folder / "delta" / ARCHIVES).glob("*.deb"))
    for path in fetched:
        if path.name not in names and path.is_file() and not path.is_symlink():
            draft = pool / f".{os.getpid()}-{path.name}"
            with contextlib.suppress(OSError):
                shutil.copyfile(path, draft)
                draft.replace(pool / path.name)


def newest_generation() -> Path:
    """Return the folder that shows the pool as it is now: one that exists, or a new one of hard links."""
    pool = _pool()
    names = sorted(path.name for path in pool.glob("*.deb"))
    generations = pool.parent / "generations"
    generations.mkdir(exist_ok=True)
    with (pool.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = generations / str(len(names))
        if not newest.is_dir():
            _link(names, pool, newest)
    return newest


def forget_generations() -> None:
    """Remove generations that no guest of any lab has mounted."""
    mounts = Path("/proc/mounts").read_text()
    generations = _pool().parent / "generations"
    for folder in generations.glob("*"):
        if f"{folder}," not in mounts:
            shutil.rmtree(folder, ignore_errors=True)


def _pool() -> Path:
    pool = place.cache_folder() / "packages" / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    return pool


def _link(names: list[str], pool: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / ARCHIVES).mkdir(parents=True)
    for name in names:
        os.link(pool / name, draft / ARCHIVES / name)
    draft.replace(target)


async def _unpack(archive: Path, folder: Path, first_id: int) -> None:
    draft = folder.with_name(f".{folder.name}.draft")
    await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
    draft.mkdir()
    os.chown(draft, first_id, first_id)
    # Unpacked by the mapped root, so that ownership needs no change afterwards.
    mapped = [f"{kind}:0:{first_id}:{place.ID_COUNT}" for kind in ("u", "g")]
    entering = ["lxc-usernsexec", "-m", mapped[0], "-m", mapped[1], "--"] if first_id else []
    unpacking = ["tar", "-C", str(draft), "--numeric-owner", "--exclude=./dev/*", "-xpf", "-"]
    try:
        # A descriptor, because the mapped root may not enter the folder of the archive.
        with archive.open("rb") as stream:
            argv = [*entering, *unpacking, *_decompression(archive)]
            await commands.run(argv, stdin=stream, timeout_seconds=UNPACK_SECONDS)
    except GuestError as error:
        raise GuestError(f"unpacking '{archive.name}' failed: {error}") from error
    (draft / ARCHIVES / "partial").mkdir(parents=True, exist_ok=True)
    draft.replace(folder)


def _decompression(archive: Path) -> list[str]:
    kinds = {".zst": "--zstd", ".gz": "--gzip", ".tgz": "--gzip", ".xz": "--xz", ".bz2": "--bzip2"}
    option = kinds.get(archive.suffix)
    return [option] if option else []
