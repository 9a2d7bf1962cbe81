"""The data folder: whether it is one, and removing what Slipway has made in it, and nothing else.

Removal that is interrupted can be run again: what a data folder is known by goes last, and a database that is
not whole any more is not taken for one.
"""

import contextlib
import os
from pathlib import Path

from slipway.standalone.embedded.shared import remove_place, remove_unused
from slipway.standalone.folders import DataFolder, remove_tree

_MADE = (
    *("nats", "nats.log", "postgres", "postgres.log", "services", "lab", "log", "identities"),
    *("place-id", "made-by-demo", "build.json", "upgrade-unfinished", "restore-unfinished"),
)
"""What `slipway up` makes in the folder; `secrets/` and `run/`, by which it is known, are removed last."""


def is_data_folder(folder: DataFolder) -> bool:
    """Whether `slipway up` has run on it: other programs have a folder `secrets/` as well."""
    return folder.bootstrap_token.is_file() and (folder.run / "lock").is_file()


def foreign_entries(folder: DataFolder) -> list[str]:
    """Return the names of what somebody else has put into the folder."""
    ours = {*_MADE, folder.secrets.name, folder.run.name}
    return sorted(each.name for each in folder.path.iterdir() if each.name not in ours)


def remove_most(folder: DataFolder) -> list[Path]:
    """Remove everything but what a data folder is known by; return what went outside of it."""
    ((folder.path / "postgres").resolve() / "cluster" / "PG_VERSION").unlink(missing_ok=True)
    elsewhere = [*remove_place(folder.path), *remove_unused()] if os.geteuid() == 0 else []
    for name in _MADE:
        _remove(folder.path / name)
    for each in sorted(folder.secrets.iterdir()):
        if each != folder.bootstrap_token:
            _remove(each)
    return elsewhere


def remove_rest(folder: DataFolder) -> None:
    """Remove what a data folder is known by, and the folder unless somebody else has something in it."""
    _remove(folder.secrets)
    _remove(folder.run)
    with contextlib.suppress(OSError):
        folder.path.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
