"""How much room the disk has that the bus and the database store on."""

import os
from pathlib import Path

MIB = 1024 * 1024
LOGS_BYTES = 192 * MIB
"""With less than this, log lines are left out."""
FULL_BYTES = 128 * MIB
"""With less than this, only work that ends things is accepted."""


def free_bytes(folder: Path) -> int:
    """Return how much an ordinary user may still write on a folder's disk.

    Raises:
        OSError: if the folder is gone.
    """
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
