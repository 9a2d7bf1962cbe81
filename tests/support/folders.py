"""Folders for servers that run as another user: pytest's own are closed to everybody else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
