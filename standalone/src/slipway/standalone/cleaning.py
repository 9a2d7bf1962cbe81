"""`slipway demo-clean`: undo what the demo installed and changed, and remove its data.

Only a folder that `demo` has marked is removed, and outside of it only what root keeps for that very folder
under `/var/lib/slipway`: no link that somebody else made is ever followed.
"""

import os
from pathlib import Path

from slipway.cli.terminal import say
from slipway.lab.guests import setup
from slipway.standalone.defaults import demo_data
from slipway.standalone.embedded import shared
from slipway.standalone.folders import DataFolder, remove_tree, write_whole
from slipway.standalone.forks import ProcessFailed

MARK = "made-by-demo"


def is_ours_alone(data: Path) -> bool:
    """Whether nobody but the demo can have put anything into a folder: it is new, or the demo's own place."""
    return data.resolve() == demo_data().resolve() or not data.exists() or not any(data.iterdir())


def mark(data: Path) -> None:
    """Mark a folder, so that `demo-clean` may remove it."""
    text = "`slipway demo` made this folder; `slipway demo-clean` removes it with all that is in it.\n"
    write_whole(data / MARK, text)


async def clean_demo(data: Path) -> int:
    """Undo all of it; refuse a folder that the demo has not made before anything is changed."""
    folder = DataFolder(data.resolve())  # noqa: ASYNC240 - nothing else runs in this loop
    if not folder.path.exists():
        if folder.path != demo_data().resolve():
            raise ProcessFailed(f"there is no {folder.path}; nothing was changed")
        say(f"There is no data at {folder.path}.")
        await _undo()
        _remove_elsewhere(folder.path)
        return 0
    _require_ours(folder)
    with folder.take():
        folder.end_leftovers()
        await _undo()
        _remove_elsewhere(folder.path)
        remove_tree(folder.path)
        say(f"removed {folder.path}")
    return 0


def _require_ours(folder: DataFolder) -> None:
    if not folder.path.is_dir():
        raise ProcessFailed(f"{folder.path} is not a folder; nothing was changed")
    for needed in (folder.path / MARK, folder.bootstrap_token):
        if not needed.is_file():
            raise ProcessFailed(
                f"{folder.path} was not made by `slipway demo` (there is no {needed}): nothing was changed; "
                "if you want that folder to go, remove it yourself"
            )


async def _undo() -> None:
    """Take back what was installed; an ordinary user has changed nothing."""
    if os.geteuid() == 0:
        await setup.undo(say)


def _remove_elsewhere(data: Path) -> None:
    """Remove what root keeps for this folder where its servers' user can reach it."""
    if os.geteuid() == 0:
        for removed in (*shared.remove_place(data), *shared.remove_unused()):
            say(f"removed {removed}")
