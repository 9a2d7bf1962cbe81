"""What a start does before it touches the data: look whose it is, and copy what it would migrate."""

import shlex
from pathlib import Path

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.cli.terminal import say
from slipway.standalone.builds import Build, is_newer, is_too_old, own_build, store_build, stored_build
from slipway.standalone.folders import DataFolder
from slipway.standalone.upgrade.safety import SafetyCopy


async def protect(*, data: str) -> None:
    """Undo an upgrade that was interrupted; refuse data of a newer build; copy that of an older one."""
    folder = DataFolder(Path(data))
    recover(folder)
    before, own = stored_build(folder), own_build()
    refuse_version(folder, before)
    if before is None or not before.is_as(own):
        size = SafetyCopy(folder).size_bytes() >> 20
        say(f"  the data is of {named(before)}; it is copied ({size} MiB) before it is migrated")
        SafetyCopy(folder).make()


def recover(folder: DataFolder) -> None:
    """Put the data back as it was, if an upgrade of it has not come to its end."""
    copy = SafetyCopy(folder)
    if copy.is_needed:
        say("An upgrade was interrupted here. The data is put back as it was before it.")
        copy.put_back()
    copy.discard()


def settle(folder: DataFolder) -> None:
    """Say that the data is good, and of this build."""
    store_build(folder, own_build())
    SafetyCopy(folder).settle()


def refuse_version(folder: DataFolder, before: Build | None) -> None:
    """Raise if the data is of a newer build, or of one that is too old to go on from."""
    if before is None:
        return
    if is_newer(before.version, before.schemas):
        raise WrongInput(
            f"the data in {folder.path} is of a newer Slipway ({before.version}) than this one "
            f"({own_build().version}), which can't read its tables; nothing was changed. Start the newer one "
            f"({start_line(folder, before)}), or restore a backup that this version has made into another "
            "folder (`slipway restore`)"
        )
    if is_too_old(before.version):
        raise WrongInput(
            f"the data in {folder.path} is of Slipway {before.version}, more than one version before this "
            f"one ({own_build().version}); nothing was changed. Upgrade to each version between them first"
        )


def rolled_back(folder: DataFolder, error: Exception) -> CommandFailed:
    """Return what is said of a migration that failed, after the data was put back."""
    before = stored_build(folder)
    return WrongInput(
        f"the upgrade failed, and the data in {folder.path} is as it was before it: {error}\n"
        f"Nothing was lost. Go on with the build of before: {start_line(folder, before)}"
    )


def start_line(folder: DataFolder, build: Build | None) -> str:
    """Return how a build is started again."""
    if build is not None and build.program != own_build().program and Path(build.program).is_file():
        return f"`{shlex.join([build.program, 'up', '--data', str(folder.path)])}`"
    number = f"slipway-standalone=={build.version}" if build else "slipway-standalone==VERSION"
    up = shlex.join(["slipway", "up", "--data", str(folder.path)])
    return f"install it again (`pipx install --force {number}`, or its bundle), then `{up}`"


def named(build: Build | None) -> str:
    """Return how a build is called in messages."""
    return "an older build" if build is None else f"Slipway {build.version}"
