"""Folders for servers that run as another user: pytest's own are closed to everybody else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """Make a folder that any user may go through, and remove it with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"slipway-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
