"""`slipway upgrade`: copy, back up, migrate, try, and either keep all of it or nothing.

It is tried with everything but the services that act on hosts (`services.ACTING`), at a port of this machine
that nobody knows. So until it is settled no job goes on and no request is accepted, and to put the data back
loses nothing. A running job stands at its step meanwhile, and the next start takes it up.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say
from slipway.runtime.process import logs
from slipway.runtime.process.settings import LogSettings
from slipway.standalone.backup.archive import SUFFIX, refuse_existing
from slipway.standalone.backup.create import create_backup
from slipway.standalone.backup.servers import started
from slipway.standalone.builds import own_build, stored_build
from slipway.standalone.doctor.checks import CHECKS
from slipway.standalone.doctor.findings import State, run_checks
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.folders import DataFolder
from slipway.standalone.forks import Forks
from slipway.standalone.logview import LogView
from slipway.standalone.stopping import stop_signal, unless_stopped
from slipway.standalone.up import Options, Stack
from slipway.standalone.upgrade.plan import look, print_plan
from slipway.standalone.upgrade.protect import recover, refuse_version, rolled_back, settle
from slipway.standalone.upgrade.running import (
    Running,
    find_running,
    refuse_other_program,
    settings_of_service,
    start_service,
    stop,
)
from slipway.standalone.upgrade.safety import SafetyCopy

TRIED = ("versions", "key-ring", "postgres", "migrations", "sealed-secrets", "bus")
"""The checks of `slipway doctor` that new data has to pass."""


async def upgrade(data: Path, *, backup: Path | None, is_plan: bool) -> int:
    """Upgrade a data folder to this build; return the exit status."""
    logs.configure("upgrade", LogSettings.model_construct(log_level="error", log_format="text"))
    folder = DataFolder(data.resolve())  # noqa: ASYNC240 - once, at the start
    if not folder.key_ring.is_file() or not (folder.path / "postgres").is_dir():
        raise CommandFailed(f"{folder.path} is not the data folder of a `slipway up`; name it with --data")
    running, before = find_running(folder), stored_build(folder)
    refuse_version(folder, before)
    if before is not None and before.is_as(own_build()) and not folder.upgrading.exists():
        say(f"The data in {folder.path} is of this build ({before.version}) already; nothing was changed.")
        return 0
    refuse_other_program(running)
    file = backup or _new_file(folder)
    print_plan(await look(folder, running), folder, file)
    if is_plan:
        return 0
    if backup is not None:
        refuse_existing(backup)
    if running is not None:
        stop(running, folder)
    if os.geteuid() == 0 and folder.path.stat().st_uid != 0:
        _as_owner(folder, file, running)
    else:
        await _upgrade(folder, file, has_own_keys=backup is not None)
    if running is not None and running.is_service:
        start_service()
    else:
        say(f"Start it as before: `{running.line if running else f'slipway up --data {folder.path}'}`")
    return 0


async def _upgrade(folder: DataFolder, file: Path, *, has_own_keys: bool) -> None:
    """Do it on a folder on which nothing runs."""
    with folder.take(is_upgrading=True):
        folder.end_leftovers()
        recover(folder)
        say("Copying the data beside itself ...")
        SafetyCopy(folder).make()
        try:
            say(f"Backing up to {file} ...")
            file.parent.mkdir(mode=0o700, exist_ok=True)
            keys = None if has_own_keys else file.with_suffix(".keys.json")
            await create_backup(folder, file, keys, started)
            if not await unless_stopped(_try(folder), stop_signal()):
                raise CommandFailed("it was stopped by a signal")  # noqa: TRY301 - as any failure
        except BaseException as error:
            SafetyCopy(folder).put_back()
            if isinstance(error, CommandFailed):
                raise rolled_back(folder, error) from error
            raise
        settle(folder)
    say(f"The data in {folder.path} is of Slipway {own_build().version} now. The backup of before: {file}")


async def _try(folder: DataFolder) -> None:
    """Migrate, start what acts on no host, and check it."""
    options = Options(data=folder.path, port=0, is_tryout=True)
    stack = Stack(options, LogView(folder.log, is_quiet=True), folder, Forks())
    try:
        await stack.start()
        reports = await run_checks(
            {name: CHECKS[name] for name in TRIED}, Installation(folder=folder, port=0)
        )
        wrong = [each for each in reports if each.finding.state in {State.FAILED, State.NOT_CHECKED}]
        if wrong:
            found = "; ".join(f"{each.check}: {each.finding.message}" for each in wrong)
            raise CommandFailed(f"after the migration {found}")
    finally:
        await stack.stop()


def _as_owner(folder: DataFolder, file: Path, running: Running | None) -> None:
    """Have the folder's owner do it, whom the service runs as: root's files it could not read."""
    owner = folder.path.stat()
    settings = settings_of_service() if running is not None and running.is_service else {}
    command = [sys.executable, "-m", "slipway.cli", "upgrade", "--data", str(folder.path)]
    command += ["--backup", str(file)] if file.parent != folder.path / "backups" else []
    done = subprocess.run(  # noqa: S603 - ourselves
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        user=owner.st_uid,
        group=owner.st_gid,
        extra_groups=[],
        cwd="/",
        env={**os.environ, **settings, "HOME": str(folder.path)},
    )
    if done.returncode != 0:
        raise CommandFailed("nothing was upgraded, and what ran before was not started again; see above")


def _new_file(folder: DataFolder) -> Path:
    now = datetime.now(tz=UTC)
    before = stored_build(folder)
    name = f"before-upgrade-{now:%Y%m%d-%H%M%S}{f'-{before.version}' if before else ''}"
    return folder.path / "backups" / f"{name}{SUFFIX}"
