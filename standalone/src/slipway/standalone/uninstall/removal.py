"""`slipway uninstall`: what it would do, and doing it.

The order is that of what still works afterwards: the service stops, the clusters are left with the keys that
are stored here, and only then goes the data folder with these keys.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from slipway.cli.confirmation import is_confirmed
from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say, warn
from slipway.runtime.process import logs
from slipway.runtime.process.settings import LogSettings
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.embedded.shared import places_of
from slipway.standalone.folders import DataFolder
from slipway.standalone.paths import own_checkout
from slipway.standalone.systemd.service import (
    is_own_unit,
    is_own_user,
    remove_user,
    run_steps,
    uninstall_steps,
)
from slipway.standalone.systemd.unit import ENVIRONMENT, NAME, STATE, UNIT
from slipway.standalone.uninstall.leaving import leave, line_by_hand
from slipway.standalone.uninstall.ownership import foreign_entries, is_data_folder, remove_most, remove_rest
from slipway.standalone.uninstall.stored_clusters import StoredCluster, read_clusters


async def uninstall(data: Path, *, is_plan: bool, yes: bool) -> int:
    """Show everything that would go, ask, and remove it; return 0 if nothing is left anywhere."""
    logs.configure("uninstall", LogSettings.model_construct(log_level="error", log_format="text"))
    folder = DataFolder(data.resolve())  # noqa: ASYNC240 - once, at the start
    if not is_data_folder(folder):
        raise CommandFailed(f"{folder.path} is not a data folder of Slipway; name the right one with --data")
    installation = Installation(folder=folder, port=0)
    is_service = is_own_unit() and _is_of_the_service(folder)
    clusters = await _clusters(installation)
    _print_plan(installation, clusters, is_service=is_service)
    if is_plan:
        return 0
    if installation.is_running and not is_service:
        raise CommandFailed(f"Slipway runs on {folder.path}: stop it first (Ctrl-C where it runs)")
    if not await is_confirmed(f"remove Slipway and {folder.path} for good", yes=yes):
        return 1
    if is_service:
        run_steps(uninstall_steps())
    return await _remove(folder, clusters)


async def _clusters(installation: Installation) -> list[StoredCluster]:
    """Read the clusters; nobody may start Slipway while its database runs only for that."""
    if installation.is_running:
        return await read_clusters(installation)
    with installation.folder.take():
        installation.folder.end_leftovers()
        return await read_clusters(installation)


async def _remove(folder: DataFolder, clusters: Sequence[StoredCluster]) -> int:
    with folder.take():
        folder.end_leftovers()
        by_hand = [line for cluster in clusters if (line := await _leave(cluster)) is not None]
        _remove_data(folder)
    say(f"Slipway's program itself stays: {_program()}.")
    if by_hand:
        warn("On these clusters Slipway's access is left. Run for each, as one who may log in as root:")
        for line in by_hand:
            warn(f"  {line}")
    return 1 if by_hand else 0


async def _leave(cluster: StoredCluster) -> str | None:
    """Leave one cluster, and say how it went; return the line that is still to be run."""
    left = await leave(cluster)
    for problem in left.problems:
        warn(f"{cluster.name}: {problem}")
    if left.by_hand is None:
        say(f"{cluster.name}: user, token, roles and SSH key are gone, and the mark of {left.marks} guests")
    return left.by_hand


def _remove_data(folder: DataFolder) -> None:
    for removed in remove_most(folder):
        say(f"removed {removed}")
    is_of_the_service = _is_of_the_service(folder)
    if is_of_the_service and os.geteuid() == 0:
        ENVIRONMENT.unlink(missing_ok=True)
        if is_own_user():
            remove_user()
    remove_rest(folder)
    if is_of_the_service:
        for parent in (ENVIRONMENT.parent, STATE.parent):
            with contextlib.suppress(OSError):
                parent.rmdir()
    if folder.path.exists():
        warn(f"{folder.path} stays: {', '.join(foreign_entries(folder))} in it is not Slipway's")
    else:
        say(f"removed {folder.path}")


def _is_of_the_service(folder: DataFolder) -> bool:
    return folder.path == STATE.resolve()


def _program() -> str:
    """Say how the program goes."""
    checkout = own_checkout()
    if checkout is not None:
        return f"it is the checkout {checkout}, a folder to remove"
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return "it goes with `pipx uninstall slipway-standalone`"
    return f"it goes with what has installed it into {sys.prefix}"


def _print_plan(installation: Installation, clusters: Sequence[StoredCluster], *, is_service: bool) -> None:
    path = installation.folder.path
    lines = [f"stop the service and remove {UNIT}"] if is_service else []
    lines += [f"on the cluster {each.name} ({each.address}): {_work_on(each)}" for each in clusters]
    lines.append(
        f"remove {path}: users and their tokens, what is known of containers, jobs and their logs, the audit "
        "log, stored passwords, and the keys that open them"
    )
    lines += [f"remove {place}, where its database and bus lie" for place in _places(path)]
    if foreign := foreign_entries(installation.folder):
        lines.append(f"leave in {path} what Slipway has not made: {', '.join(foreign)}")
    if _is_of_the_service(installation.folder):
        lines.append(f"remove {ENVIRONMENT}" + (f" and the user {NAME}" if is_own_user() else ""))
    say("This would:")
    for number, line in enumerate(lines, 1):
        say(f"{number}. {line}")
    say("None of it comes back without a backup: `slipway backup` makes one; the key ring belongs beside it.")


def _places(data: Path) -> list[Path]:
    return places_of(data) if os.geteuid() == 0 else []


def _work_on(cluster: StoredCluster) -> str:
    if cluster.is_removed:
        return f"nothing, as it was removed from Slipway, which can't get in any more; {_access_of(cluster)}"
    return f"take Slipway's mark out of the notes of its guests, which run on; then {_access_of(cluster)}"


def _access_of(cluster: StoredCluster) -> str:
    if cluster.script_id is None:
        return f"leave {cluster.token_id} as it is: Slipway's script has not made it"
    names = f"the user slipway-{cluster.script_id}@pve, its token, its roles slipway-{cluster.script_id}-*"
    if cluster.access is not None and cluster.access.nodes:
        return f"remove {names} and its SSH key, over SSH; where that key may not: {line_by_hand(cluster)}"
    return f"{names} and its SSH key have to be removed on a node: {line_by_hand(cluster)}"
