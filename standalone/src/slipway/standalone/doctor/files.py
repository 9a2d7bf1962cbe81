"""Checks of files: they work as well while Slipway does not run."""

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.disk import FULL_BYTES, LOGS_BYTES, MIB, free_bytes
from slipway.runtime.secrets.vault import KeyRing
from slipway.standalone.doctor.findings import Finding, NotChecked, failed, ok, warning
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.embedded.process import account_for

LOW_BYTES = 1024 * MIB
"""With less free than this, it is time to make room."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PUBLIC = frozenset({"sealing-public.json", "users.conf"})
"""Files beside secrets that hold none: public keys, and who may do what with them."""
_MOST_NAMED = 5


async def data_folder(installation: Installation) -> Finding:
    """Whether the folder is there, and has what an installation has."""
    path = installation.folder.path
    if not path.is_dir():
        return failed(f"there is no folder {path}", "start Slipway once (`slipway up`), or name its --data")
    if not installation.folder.secrets.is_dir():
        return failed(f"{path} is not a data folder of Slipway: it has no secrets/", "name the right --data")
    if installation.folder.unfinished.exists():
        reason = f"a restore into {path} has not ended: nothing starts on it"
        return failed(reason, "remove that folder, and restore the backup again")
    size = sum(1 for _ in path.iterdir())
    return ok(f"{path} ({size} entries)")


async def secret_files(installation: Installation) -> Finding:
    """Whether nobody but their owner can read the files with secrets."""
    require_folder(installation)
    files = list(secrets_of(installation))
    # Of what a link leads to: its own mode says nothing.
    open_ones = [path for path in files if path.stat().st_mode & _OTHERS]
    if open_ones:
        named = " ".join(shlex.quote(str(path)) for path in open_ones[:_MOST_NAMED])
        more = f" and {len(open_ones) - _MOST_NAMED} more" if len(open_ones) > _MOST_NAMED else ""
        return failed(f"others can read {named}{more}", f"chmod go= {named}")
    owner = installation.folder.path.stat().st_uid
    allowed = {owner, account_for(installation.folder.path).uid}
    foreign = [path for path in files if path.stat().st_uid not in allowed]
    if foreign:
        named = shlex.quote(str(foreign[0]))
        return failed(f"{foreign[0]} belongs to user {foreign[0].stat().st_uid}", f"chown {owner} {named}")
    return ok(f"{len(files)} files, each readable by its owner alone")


async def disk(installation: Installation) -> Finding:
    """Whether the bus and the database have room."""
    require_folder(installation)
    places = {installation.folder.path, *(installation.server_folder(name) for name in ("nats", "postgres"))}
    free, where = min((free_bytes(each), str(each)) for each in places if each.exists())
    message = f"{free // MIB} MiB are free on the disk of {where}"
    remedy = "remove what you do not need from that disk, or enlarge it"
    if free < FULL_BYTES:
        return failed(f"{message}: no new job is accepted", remedy)
    if free < LOGS_BYTES:
        return failed(f"{message}: log lines are left out", remedy)
    return warning(message, remedy) if free < LOW_BYTES else ok(message)


async def key_ring(installation: Installation) -> Finding:
    """Whether the keys that seal every stored secret can be read."""
    require_folder(installation)
    path = installation.folder.key_ring
    if path.exists():
        # Not to be allowed to read it is another matter than to have lost it.
        path.open("rb").close()
    try:
        ring = KeyRing.from_file(path)
    except SecretUnreadable as error:
        remedy = f"bring {path} back from its backup: without it no stored secret opens"
        return failed(str(error), remedy)
    return ok(f"{len(ring.keys)} keys, {ring.current} seals what comes anew")


def secrets_of(installation: Installation) -> Iterator[Path]:
    """Yield every file with a secret, the services' copies and the embedded servers' included."""
    folder = installation.folder
    for place in (folder.secrets, folder.identities, installation.server_folder("services")):
        if place.is_dir():
            yield from (
                each for each in sorted(place.rglob("*")) if each.is_file() and each.name not in _PUBLIC
            )
    password = installation.server_folder("postgres") / "admin-password"
    if password.is_file():
        yield password


def require_folder(installation: Installation) -> None:
    """Raise `NotChecked` unless there is a data folder."""
    if not installation.folder.secrets.is_dir():
        raise NotChecked("there is no data folder")
