"""The archive that support asks for: versions, settings, checks, counts and the last of the logs.

No secret is in it: what could be one is masked by its name, and each part is searched for every secret of the
installation, which is masked by its value.
"""

import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway.cli.errors import CommandFailed
from slipway.contracts.problems import SlipwayError
from slipway.runtime.database.engine import Database
from slipway.runtime.process.disk import free_bytes
from slipway.runtime.secrets.redaction import clean
from slipway.standalone.doctor.files import require_folder
from slipway.standalone.doctor.findings import NotChecked, Report
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.doctor.running import installed_versions
from slipway.standalone.doctor.secret_values import secret_values
from slipway.standalone.doctor.servers import streams_of
from slipway.standalone.services import WITH_TABLES

LOG_BYTES = 256 * 1024
"""Of each log, from its end."""
MOST_LOGS = 40
_COUNTS = """
    select relname as name, n_live_tup as rows from pg_stat_user_tables where schemaname = $1 order by relname
"""


async def write_bundle(path: Path, installation: Installation, reports: Sequence[Report]) -> None:
    """Write the archive, readable by its owner alone.

    Raises:
        CommandFailed: if there is no installation.
    """
    try:
        require_folder(installation)
    except NotChecked as error:
        raise CommandFailed(f"{path} is not written: {error}") from error
    values = await secret_values(installation)
    contents = {
        "checks.json": _json([each.document() for each in reports]),
        "versions.json": _json(_versions(installation)),
        "settings.json": _json(_settings()),
        "counts.json": _json(await _counts(installation)),
        **{f"logs/{name}": text for name, text in _logs(installation)},
    }
    _write(path, {name: values.masked(text) for name, text in contents.items()})


def _write(path: Path, contents: Mapping[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in contents.items():
            content = text.encode(errors="replace")
            member = tarfile.TarInfo(f"slipway-doctor/{name}")
            member.size, member.mtime = len(content), int(time.time())
            archive.addfile(member, io.BytesIO(content))


def _json(value: object) -> str:
    return json.dumps(clean(value), indent=2) + "\n"


def _versions(installation: Installation) -> dict[str, Any]:
    release = Path("/etc/os-release")
    return {
        "slipway": installed_versions(),
        "python": sys.version,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": release.read_text(encoding="utf-8").splitlines() if release.is_file() else [],
        "cores": os.cpu_count(),
        "free_bytes": free_bytes(installation.folder.path),
        "processes": dict(installation.processes),
    }


def _settings() -> dict[str, str]:
    """Return the settings of this shell; what names a file is a path, and no secret."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("SLIPWAY_")}
    return {
        name: value if name.endswith("_FILE") else str(clean({name: value})[name])
        for name, value in ours.items()
    }


async def _counts(installation: Installation) -> dict[str, Any]:
    """Return how many rows and messages there are, as far as the servers run."""
    counts: dict[str, Any] = {"tables": {}, "streams": {}}
    settings = installation.database("inventory")
    if settings is not None:
        database = Database(settings)
        try:
            for schema in WITH_TABLES:
                rows = await database.fetch(_COUNTS, schema)
                counts["tables"][schema] = {row.name: row.rows for row in rows}
        except SlipwayError as error:
            counts["tables"] = str(error)
        finally:
            await database.dispose()
    try:
        streams = await streams_of(installation)
    except (NotChecked, SlipwayError) as error:
        counts["streams"] = str(error)
    else:
        counts["streams"] = {
            name: {
                "messages": info.state.messages,
                "bytes": info.state.bytes,
                "most_bytes": info.config.max_bytes,
            }
            for name, info in streams.items()
        }
    return counts


def _logs(installation: Installation) -> Iterator[tuple[str, str]]:
    """Yield the end of each log with its name, secrets masked."""
    for path in sorted(installation.folder.log.glob("*.log"))[:MOST_LOGS]:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode(errors="replace")
        if size > LOG_BYTES:
            # It begins in the middle of a line, of which a secret could be the rest.
            text = text.partition("\n")[2]
        yield path.name, str(clean(text))
