"""The data folder of `slipway up`: its layout, its lock, and the processes that a killed `up` left.

Layout: `run/` (endpoints, pids, lock), `log/`, `secrets/` (made once, stored), `identities/` (keys of the
bus's users), `services/` (each service's own copies of its secrets), `nats/`, `postgres/`, `lab/`.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from slipway.cli.errors import CommandFailed
from slipway.runtime.retry import Deadline

LEFTOVER_SECONDS = 6.0
"""How long what a killed `up` left may take to end by itself."""


class FolderInUse(CommandFailed):
    """Another `up` runs on the data folder."""


class DataFolder:
    """Paths below one data folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / "run"
        self.log = path / "log"
        self.secrets = path / "secrets"
        self.identities = path / "identities"
        self.lab = path / "lab"
        self.tls_files = (self.secrets / "tls-certificate.pem", self.secrets / "tls-key.pem")
        """The self-signed certificate and its key."""
        self.acme_files = (self.secrets / "acme-certificate.pem", self.secrets / "acme-key.pem")
        """Those that a CA issued by ACME, once it has."""
        self.acme_account = self.secrets / "acme-account.json"
        self.endpoints = self.run / "endpoints.json"
        """How to reach everything; exists only while everything is ready."""
        self.bootstrap_token = self.secrets / "bootstrap-token"
        """The first user's bearer token."""
        self.metrics_token = self.secrets / "metrics-token"
        self.key_ring = self.secrets / "key-ring.json"
        self.unfinished = path / "restore-unfinished"
        """Exists while a backup is being restored here."""
        self.upgrading = path / "upgrade-unfinished"
        """Exists while the data may be half migrated (`upgrade.safety`)."""
        self.build = path / "build.json"
        """Of which build the data is."""

    def take(self, *, is_restoring: bool = False, is_upgrading: bool = False) -> IO[str]:
        """Make what is missing and lock the folder; it stays locked as long as the returned file is open.

        Args:
            is_restoring: whether the caller is the restore that left its mark here.
            is_upgrading: whether the caller puts back what an upgrade has left half done.
        """
        if self.upgrading.exists() and not is_upgrading:
            raise CommandFailed(
                f"an upgrade of {self.path} was interrupted, or runs: `slipway up` and `slipway upgrade` put "
                "the data back as it was before it"
            )
        if self.unfinished.exists() and not is_restoring:
            raise CommandFailed(
                f"a restore into {self.path} has not ended: remove that folder, and restore the backup again"
            )
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.run, self.log, self.secrets, self.identities):
            folder.mkdir(exist_ok=True, mode=0o700)
        # Not through a link: root may take a folder of the service's user.
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        lock = os.fdopen(descriptor, "w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise FolderInUse(
                f"slipway runs on {self.path} already; stop it, or use another --data"
            ) from error
        return lock

    def end_leftovers(self) -> list[str]:
        """End the processes that a killed `up` left here; return their names when they are gone."""
        self.endpoints.unlink(missing_ok=True)
        leftovers = self.living()
        deadline = Deadline(LEFTOVER_SECONDS)
        for pid in leftovers.values():
            _signal(pid, signal.SIGTERM)
        while any(_began(pid) is not None for pid in leftovers.values()) and not deadline.has_passed:
            time.sleep(0.05)
        for pid in leftovers.values():
            _signal(pid, signal.SIGKILL)
        while any(_began(pid) is not None for pid in leftovers.values()):
            time.sleep(0.02)
        return sorted(leftovers)

    def living(self) -> dict[str, int]:
        """Return the processes that were recorded here and live, by name."""
        return {name: pid for name, pid, began in self._recorded() if _began(pid) == began}

    def record_pids(self, pids: Mapping[str, int]) -> None:
        """Record our processes, for an `up` after we were killed."""
        records = [{"name": name, "pid": pid, "began": _began(pid)} for name, pid in pids.items()]
        write_whole(self.run / "pids.json", json.dumps(records) + "\n")

    def _recorded(self) -> list[tuple[str, int, str]]:
        try:
            records = json.loads((self.run / "pids.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [(each["name"], each["pid"], each["began"]) for each in records if each["began"]]


def write_whole(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Args:
        path: of the file; whoever owns its folder can't lead the writing elsewhere by a link.
        text: what it holds.
        owner: user and group that it is given to; this process' own without.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(descriptor, *owner)
        file.write(text)
    draft.replace(path)


def remove_tree(path: Path) -> None:
    """Remove a data folder, whatever is in it."""
    for parent, names, _ in os.walk(path):
        for inner in (Path(parent, name) for name in names):
            if not inner.is_symlink():
                # The kernel makes closed folders below a simulated guest's overlay.
                inner.chmod(inner.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(path)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _began(pid: int) -> str | None:
    """Return when a living process began, in ticks: a pid alone may be somebody else's by now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]
