"""One lab per data folder: a lock that ends with the process that holds it."""

import fcntl
from pathlib import Path
from typing import TextIO

from slipway.lab.guests.protocol import GuestError


def claim(folder: Path) -> TextIO:
    """Take the folder, making it; the caller keeps the file open for as long as it uses the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise GuestError(f"another lab uses {folder}") from None
    return lock
