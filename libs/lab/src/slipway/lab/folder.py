"""The lab's data folder: what makes this lab this lab. Secrets, keys and certificate are made once.

Layout: `secrets/` (0600 files), `containers/`, `tasks/`, `volumes.json`, `templates/`, `host/` (what
`pct push` reads: the pretend node's file system), `guests/` (the backend's); with several nodes also `nodes/`
(the others' containers, tasks and so on) and `shared/`. Two labs with two
folders share nothing.
"""

import fcntl
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import asyncssh

from slipway.lab.host import records


class AlreadyRuns(Exception):
    """Another lab uses the data folder."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths and secrets of one lab."""

    path: Path

    def prepare(self) -> IO[str]:
        """Make what is missing and take the folder; keep what is returned open for as long as it is used."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("secrets", "containers", "tasks", "templates", "host", "guests"):
            (self.path / name).mkdir(exist_ok=True, mode=0o700)
        lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise AlreadyRuns(f"a lab runs in {self.path} already") from error
        return lock

    def secret_path(self, name: str) -> Path:
        """Return the path of a secret."""
        return self.path / "secrets" / name

    def secret(self, name: str) -> str:
        """Read a password or key, made up the first time."""
        return self._stored(name, lambda: secrets.token_urlsafe(24))

    def token_secret(self, name: str) -> str:
        """Read an API token's secret: a UUID, as Proxmox makes them."""
        return self._stored(name, lambda: str(uuid.uuid4()))

    def ssh_key(self, name: str) -> asyncssh.SSHKey:
        """Read an Ed25519 key."""
        return asyncssh.import_private_key(self._stored(name, _new_ssh_key))

    def _stored(self, name: str, make: Callable[[], str]) -> str:
        path = self.secret_path(name)
        if not path.exists():
            records.write_text(path, make())
        return path.read_text(encoding="utf-8")


def _new_ssh_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
