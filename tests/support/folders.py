"""Folders for servers that run as another user: pytest's own are closed to everybody else."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 8 * 1024**3


@contextmanager
def open_folder(name: str, *, in_memory: bool = False) -> Iterator[Path]:
    """Make a folder that any user may go through, and remove it with all that is in it.

    In memory, if there is enough, a server that writes each change through does so at once.
    """
    is_roomy = in_memory and _MEMORY.is_mount() and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    folder = Path(tempfile.mkdtemp(prefix=f"slipway-{name}-", dir=_MEMORY if is_roomy else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_disk(name: str, size_mib: int) -> Iterator[Path]:
    """Make an open folder that is a small disk of its own; only root may."""
    with open_folder(name) as folder:
        options = f"size={size_mib}m,mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, timeout=30)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, timeout=30)


def fill_up(path: Path, *, leave_mib: int = 0) -> None:
    """Write a file that takes all of its disk but for some MiB."""
    piece = bytes(1 << 20)
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(path.parent).free > leave_mib << 20:
            file.write(piece)
        os.fsync(file.fileno())
